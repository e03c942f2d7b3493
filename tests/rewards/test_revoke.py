from __future__ import annotations

import asyncio

import httpx
from sqlalchemy import select

from app.campaigns.document import RewardRule
from app.models import AuditEntry
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.invites import events, open_campaign, sign_up

REASON = {"reason": "the phone number is not their own"}
TIGHT = (RewardRule(key="inviter_days", on="signup", to="inviter", days=30, cap_days=30),)


async def a_reward(api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture) -> tuple[str, str]:
    """A granted reward of an inviter and its member."""
    campaign, inviter = await open_campaign(resources, merchant)
    signup = (await sign_up(api, campaign, inviter.invite_code)).json()
    (reward,) = [reward for reward in signup["rewards"] if reward["side"] == "inviter"]
    return reward["id"], inviter.member_id


async def test_revoked_days_leave_the_timeline_and_the_record_stays(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    reward_id, member_id = await a_reward(api, resources, merchant)
    await api.post("/v1/test-clock", json={"advance_seconds": 10 * 86_400})
    answer = await api.post(f"/v1/rewards/{reward_id}/revoke", json=REASON)
    assert (answer.status_code, answer.json()["status"]) == (200, "revoked")
    membership = (await api.get(f"/v1/members/{member_id}/membership")).json()
    assert membership["active"] is False
    given, taken = membership["grants"]
    assert (given["seconds"], taken["seconds"], taken["source"]) == (2_592_000, -2_592_000, "revocation")
    assert given["periods"][-1]["ends_at"] == membership["ends_at"] == taken["granted_at"], "used days stay used"
    sent = [data["id"] for type_, data in await events(resources, merchant) if type_ == "reward.revoked"]
    assert sent == [reward_id]
    async with resources.db.tenant(merchant.test_id) as session:
        (entry,) = await session.scalars(select(AuditEntry).where(AuditEntry.subject_id == reward_id))
    assert (entry.action, entry.reason) == ("reward.revoked", REASON["reason"])


async def test_many_revocations_of_one_reward_cut_once(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    reward_id, member_id = await a_reward(api, resources, merchant)
    answers = await asyncio.gather(*(api.post(f"/v1/rewards/{reward_id}/revoke", json=REASON) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    membership = (await api.get(f"/v1/members/{member_id}/membership")).json()
    assert [grant["seconds"] for grant in membership["grants"]] == [2_592_000, -2_592_000]


async def test_an_owed_reward_that_is_revoked_is_never_granted(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant)
    signup = (await sign_up(api, campaign, inviter.invite_code, external_id="u-1")).json()
    (owed,) = [reward for reward in signup["rewards"] if reward["status"] == "owed"]
    assert (await api.post(f"/v1/rewards/{owed['id']}/revoke", json=REASON)).json()["status"] == "revoked"
    await sign_up(api, campaign, external_id="u-1", phone="+8613800138000")
    assert (await api.get(f"/v1/rewards/{owed['id']}")).json()["status"] == "revoked"
    membership = (await api.get(f"/v1/members/{inviter.member_id}/membership")).json()
    assert membership["grants"] == []


async def test_revoking_makes_room_under_the_cap(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant, rewards=TIGHT)
    first, second = [(await sign_up(api, campaign, inviter.invite_code)).json()["rewards"][0] for _ in range(2)]
    assert (first["status"], second["status"]) == ("granted", "skipped_cap")
    refused = await api.post(f"/v1/rewards/{second['id']}/revoke", json=REASON)
    assert (refused.status_code, refused.json()["code"]) == (409, "reward_not_revocable")
    await api.post(f"/v1/rewards/{first['id']}/revoke", json=REASON)
    third = (await sign_up(api, campaign, inviter.invite_code)).json()["rewards"][0]
    assert third["status"] == "granted"


async def test_lists_filter_by_status_side_and_receiver(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(
        resources, merchant, rewards=(*TIGHT, RewardRule(key="friend", on="signup", to="invitee", days=7))
    )
    friends = [(await sign_up(api, campaign, inviter.invite_code)).json()["participant"] for _ in range(2)]

    async def found(**filters: str) -> list[tuple[str, str]]:
        rewards = (await api.get("/v1/rewards", params=filters)).json()["data"]
        return [(reward["participant_id"], reward["status"]) for reward in rewards]

    assert await found(status="skipped_cap") == [(inviter.id, "skipped_cap")]
    assert await found(side="inviter", campaign_id=campaign.id) == [
        (inviter.id, "skipped_cap"),
        (inviter.id, "granted"),
    ]
    assert await found(member_id=friends[0]["member_id"]) == [(friends[0]["id"], "granted")]
    of_participant = (await api.get(f"/v1/participants/{inviter.id}/rewards")).json()
    assert [reward["status"] for reward in of_participant["data"]] == ["skipped_cap", "granted"]
    first = (await api.get("/v1/rewards", params={"limit": 1})).json()
    rest = (await api.get("/v1/rewards", params={"cursor": first["next_cursor"]})).json()
    assert (first["has_more"], rest["has_more"], len(rest["data"])) == (True, False, 3)


async def test_a_reward_that_is_not_there_is_not_found(api: httpx.AsyncClient) -> None:
    for reward_id in ("rwd_01h2xcejqtf2nbrexx3vqjhp41", "nonsense"):
        answer = await api.post(f"/v1/rewards/{reward_id}/revoke", json=REASON)
        assert (answer.status_code, answer.json()["code"]) == (404, "reward_not_found")
