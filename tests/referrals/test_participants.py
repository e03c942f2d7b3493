from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns.document import AttributionRule
from app.kit import clock, ids
from app.kit.errors import Unavailable
from app.models import Campaign, PayeeAccount
from app.referrals import queries
from app.referrals.entry import EntryRequest, enter
from app.referrals.identity import MemberIdentity
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign, make_merchant, make_participant
from tests.factories.invites import events, new_phone, open_campaign, sign_up


async def join(
    api: httpx.AsyncClient, campaign: Campaign, invite_code: str | None = None, **member: str
) -> httpx.Response:
    body = {"member": member or {"phone": new_phone()}, "invite_code": invite_code}
    return await api.post(f"/v1/campaigns/{campaign.id}/participants", json=body)


async def test_joining_makes_a_promoter_and_joining_again_finds_it(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, _ = await open_campaign(resources, merchant)
    first = await join(api, campaign, external_id="u-1")
    again = await join(api, campaign, external_id="u-1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == (await api.get(f"/v1/participants/{first.json()['id']}")).json()
    participant = first.json()
    assert (participant["object"], participant["inviter_id"], participant["depth"]) == ("participant", None, 0)
    assert participant["livemode"] is False
    assert ids.normalise_invite_code(participant["invite_code"]) == participant["invite_code"]


async def test_joining_with_a_code_binds_a_new_participant_and_grants_nothing(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant)
    participant = (await join(api, campaign, inviter.invite_code)).json()
    assert (participant["inviter_id"], participant["depth"]) == (inviter.id, 1)
    assert (await api.get("/v1/rewards")).json()["data"] == []
    assert [type_ for type_, _ in await events(resources, merchant)] == ["participant.created", "referral.created"]


async def test_joining_again_with_a_code_binds_nobody_anew(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant)
    await join(api, campaign, external_id="u-1")
    again = await join(api, campaign, inviter.invite_code, external_id="u-1")
    assert (again.status_code, again.json()["inviter_id"]) == (200, None)


async def test_participants_are_listed_newest_first_and_by_member(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, first = await open_campaign(resources, merchant)
    _other, _ = await open_campaign(resources, merchant)
    second = (await join(api, campaign)).json()
    path = f"/v1/campaigns/{campaign.id}/participants"
    assert [row["id"] for row in (await api.get(path)).json()["data"]] == [second["id"], first.id]
    by_member = (await api.get(path, params={"member_id": second["member_id"]})).json()["data"]
    assert by_member == [second]


@pytest.mark.parametrize("path", ["", "/chain", "/invitees", "/invitees/counts", "/rewards"])
async def test_another_merchants_participant_is_not_found(
    live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, path: str
) -> None:
    _, participant = await open_campaign(resources, merchant)
    for participant_id in (participant.id, "ptc_01h2xcejqtf2nbrexx3vqjhp41", "nonsense"):
        answer = await live_api.get(f"/v1/participants/{participant_id}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "participant_not_found")


@pytest.mark.parametrize("campaign_id", ["cmp_01h2xcejqtf2nbrexx3vqjhp41", "nonsense"])
async def test_an_unknown_campaign_has_no_participants(api: httpx.AsyncClient, campaign_id: str) -> None:
    path = f"/v1/campaigns/{campaign_id}/participants"
    for answer in (await api.get(path), await api.post(path, json={"member": {"external_id": "u-1"}})):
        assert (answer.status_code, answer.json()["code"]) == (404, "campaign_not_found")


async def test_nobody_invites_themselves_by_any_name(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, _ = await open_campaign(resources, merchant)
    me = {"phone": "13812345678", "openid": "o-1", "unionid": "n-1"}
    code = (await join(api, campaign, **me)).json()["invite_code"]
    for name, value in me.items():
        for member in ({name: value}, {name: value, "external_id": "somebody-else"}):
            answer = await sign_up(api, campaign, code, **member)
            assert (answer.status_code, answer.json()["code"]) == (422, "self_invite")


async def test_two_members_who_are_paid_to_one_account_are_one_person(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    first, me = await open_campaign(resources, merchant)
    campaign, _ = await open_campaign(resources, merchant)
    other = (await join(api, first, external_id="my-second-self")).json()
    code = (await join(api, campaign, external_id="my-second-self")).json()["invite_code"]
    async with resources.db.tenant(merchant.test_id) as session:
        for member_id in (me.member_id, other["member_id"]):
            account = PayeeAccount(
                merchant_id=merchant.test_id,
                id=ids.new("pac"),
                member_id=member_id,
                kind="alipay",
                account="me@example.com",
                account_index=b"the same",
                real_name="王小明",
            )
            session.add(account)
        member = await queries.get_member(session, merchant_id=merchant.test_id, member_id=me.member_id)
    answer = await sign_up(api, campaign, code, external_id=member.external_id)
    assert (answer.status_code, answer.json()["code"]) == (422, "self_invite")


async def test_a_code_that_is_taken_is_drawn_again_also_by_another_merchant(
    resources: Resources, merchant: MerchantFixture
) -> None:
    stranger = await make_merchant(resources)
    async with resources.db.tenant(stranger.test_id) as session:
        taken = await make_participant(session, await make_campaign(session, stranger.test_id))
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id)
        own = await make_participant(session, campaign)
        codes = iter([taken.invite_code, own.invite_code, "22222223"])
        entry = await enter(session, request(campaign, codes))
        assert (entry.created, entry.participant.invite_code) == (True, "22222223")
        with pytest.raises(Unavailable):
            await enter(session, request(campaign, repeat(taken.invite_code)))


def request(campaign: Campaign, codes: Iterator[str]) -> EntryRequest:
    return EntryRequest(
        merchant_id=campaign.merchant_id,
        campaign_id=campaign.id,
        rule=AttributionRule(),
        identity=MemberIdentity(external_id=ids.new("ext")),
        invite_code=None,
        now=clock.utcnow(),
        new_code=lambda: next(codes),
    )


async def test_a_code_leads_to_its_merchant_campaign_and_participant(
    resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, participant = await open_campaign(resources, merchant)
    async with resources.db.system() as session:
        owner = await queries.merchant_of_code(session, f" {participant.invite_code.upper()} ")
        assert owner == queries.CodeOwner(merchant.test_id, campaign.id, participant.id)
        for unknown in ("22222222", "not a code", ""):
            assert await queries.merchant_of_code(session, unknown) is None


async def test_an_app_session_cannot_resolve_another_merchants_code(tenant: AsyncSession, resources: Resources) -> None:
    stranger = await make_merchant(resources)
    _, participant = await open_campaign(resources, stranger)
    assert await queries.merchant_of_code(tenant, participant.invite_code) is None
