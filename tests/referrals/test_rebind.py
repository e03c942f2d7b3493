from __future__ import annotations

import asyncio

import httpx
from sqlalchemy import select, text

from app.campaigns.document import AttributionRule
from app.kit import clock, ids
from app.models import AuditEntry, Campaign, Participant, Referral
from app.referrals import rules
from app.referrals.entry import EntryRequest, enter
from app.referrals.identity import MemberIdentity
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign, make_participant
from tests.factories.chains import grow_chain
from tests.factories.invites import open_campaign, sign_up

REASON = "scanned the wrong poster"


async def rebind(api: httpx.AsyncClient, participant_id: str, inviter_id: str) -> httpx.Response:
    return await api.post(
        f"/v1/participants/{participant_id}/rebind", json={"inviter_id": inviter_id, "reason": REASON}
    )


async def tree(resources: Resources, merchant: MerchantFixture) -> dict[str, Participant]:
    """All participants of the tenant by id, each checked to stand where its columns say."""
    async with resources.db.tenant(merchant.test_id) as session:
        nodes = {row.id: row for row in await session.scalars(select(Participant))}
    for node in nodes.values():
        inviter = nodes[node.inviter_id] if node.inviter_id else None
        assert node.path == (inviter.path if inviter else "") + rules.segment(node.number)
        assert node.depth == (inviter.depth + 1 if inviter else 0)
        assert node.second_inviter_id == (inviter.inviter_id if inviter else None)
    return nodes


async def test_a_participant_moves_with_everything_below_it(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id)
        old, new = [await make_participant(session, campaign) for _ in range(2)]
        above = await make_participant(session, campaign, inviter=new)
        node = await make_participant(session, campaign, inviter=old)
        stays = await make_participant(session, campaign, inviter=old)
        children = [await make_participant(session, campaign, inviter=node) for _ in range(2)]
        leaf = await make_participant(session, campaign, inviter=children[0])
    answer = await rebind(api, node.id, above.id)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["inviter_id"], answer.json()["depth"]) == (above.id, 2)
    nodes = await tree(resources, merchant)
    assert [nodes[child.id].second_inviter_id for child in children] == [above.id, above.id]
    assert (nodes[leaf.id].depth, nodes[leaf.id].second_inviter_id) == (4, node.id)
    assert (nodes[stays.id].inviter_id, nodes[stays.id].depth) == (old.id, 1)
    chain = (await api.get(f"/v1/participants/{leaf.id}/chain")).json()["data"]
    assert [row["id"] for row in chain] == [children[0].id, node.id, above.id, new.id]


async def test_a_move_is_audited_and_kept_with_the_referral(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, old = await open_campaign(resources, merchant)
    new = (await sign_up(api, campaign)).json()["participant"]
    friend = (await sign_up(api, campaign, old.invite_code)).json()
    await rebind(api, friend["participant"]["id"], new["id"])
    async with resources.db.tenant(merchant.test_id) as session:
        (entry,) = await session.scalars(select(AuditEntry).where(AuditEntry.action == "participant.rebound"))
        (referral,) = await session.scalars(select(Referral))
    assert (entry.subject_id, entry.reason) == (friend["participant"]["id"], REASON)
    assert entry.actor.startswith("key_")
    assert entry.detail == {"from": old.id, "to": new["id"]}
    assert (referral.id, referral.inviter_id) == (friend["referral"]["id"], new["id"])
    assert (referral.decision["won"], referral.decision["before"]) == ("rebind", old.id)


async def test_one_who_came_alone_can_be_given_an_inviter(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant)
    alone = (await sign_up(api, campaign)).json()["participant"]
    assert (await rebind(api, alone["id"], inviter.id)).json()["inviter_id"] == inviter.id
    await tree(resources, merchant)
    again = await rebind(api, alone["id"], inviter.id)
    assert again.status_code == 200, "the same inviter again changes nothing"


async def test_below_itself_is_refused_at_any_depth(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    _, root = await open_campaign(resources, merchant)
    async with resources.db.tenant(merchant.test_id) as session:
        chain = await grow_chain(session, root, 400)
    for inviter_id in (chain[0], chain[200], chain[-1]):
        answer = await rebind(api, root.id, inviter_id)
        assert (answer.status_code, answer.json()["code"]) == (409, "referral_cycle")
    assert (await rebind(api, root.id, root.id)).json()["code"] == "self_invite"


async def test_a_deep_subtree_moves_up(api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture) -> None:
    """Paths longer than the index holds are cut and grown like any other."""
    _, root = await open_campaign(resources, merchant)
    async with resources.db.tenant(merchant.test_id) as session:
        chain = await grow_chain(session, root, 600)
    assert (await rebind(api, chain[400], root.id)).status_code == 200
    nodes = await tree(resources, merchant)
    assert (nodes[chain[-1]].depth, nodes[chain[399]].depth) == (200, 400)


async def test_an_inviter_from_elsewhere_is_refused(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    _, participant = await open_campaign(resources, merchant)
    _, stranger = await open_campaign(resources, merchant)
    unknown = await rebind(api, participant.id, "ptc_01h2xcejqtf2nbrexx3vqjhp41")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "inviter_not_found")
    elsewhere = await rebind(api, participant.id, stranger.id)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (422, "inviter_other_campaign")


async def test_of_two_moves_that_would_close_a_circle_one_wins(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, _ = await open_campaign(resources, merchant)
    for _ in range(5):
        one, other = [(await sign_up(api, campaign)).json()["participant"]["id"] for _ in range(2)]
        answers = await asyncio.gather(rebind(api, one, other), rebind(api, other, one))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert {answer.json().get("code") for answer in answers} == {None, "referral_cycle"}
    await tree(resources, merchant)


async def test_friends_who_sign_up_while_their_inviter_is_moved_land_below_it(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, root = await open_campaign(resources, merchant)
    node = (await sign_up(api, campaign)).json()["participant"]
    moves = [rebind(api, node["id"], root.id)]
    friends = [sign_up(api, campaign, node["invite_code"]) for _ in range(12)]
    answers = await asyncio.gather(*friends[:6], *moves, *friends[6:])
    assert {answer.status_code for answer in answers} <= {200, 201}
    nodes = await tree(resources, merchant)
    assert [row.depth for row in nodes.values() if row.inviter_id == node["id"]] == [2] * 12


async def somebody_waits(resources: Resources) -> None:
    """Return once a connection waits for an advisory lock."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    async with asyncio.timeout(5), resources.db.system() as session:
        while not await session.scalar(waiting):
            pass


def a_friend(campaign: Campaign, invite_code: str) -> EntryRequest:
    return EntryRequest(
        merchant_id=campaign.merchant_id,
        campaign_id=campaign.id,
        rule=AttributionRule(),
        identity=MemberIdentity(external_id=ids.new("ext")),
        invite_code=invite_code,
        now=clock.utcnow(),
    )


async def test_a_move_waits_for_the_signup_that_shares_the_tree(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    """Two connections: the second finds what the first has written, not what there was before."""
    campaign, root = await open_campaign(resources, merchant)
    node = (await sign_up(api, campaign)).json()["participant"]
    async with resources.db.tenant(merchant.test_id) as session:
        entry = await enter(session, a_friend(campaign, node["invite_code"]))
        move = asyncio.create_task(rebind(api, node["id"], root.id))
        await somebody_waits(resources)
        assert not move.done()
    assert (await move).status_code == 200
    assert (await tree(resources, merchant))[entry.participant.id].depth == 2
