from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.campaigns.document import RewardRule
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.invites import events, new_phone, open_campaign, sign_up

ON_SIGNUP = (
    RewardRule(key="inviter_days", on="signup", to="inviter", days=30, cap_days=60),
    RewardRule(key="invitee_days", on="signup", to="invitee", days=30),
)


async def days_left(api: httpx.AsyncClient, member_id: str) -> int:
    membership = (await api.get(f"/v1/members/{member_id}/membership")).json()
    return sum(int(grant["seconds"]) for grant in membership["grants"]) // 86_400


async def test_a_friend_brings_thirty_days_to_both_sides(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant)
    answer = await sign_up(api, campaign, inviter.invite_code.upper(), phone="138 1234 5678", nickname="小明🍵")
    assert answer.status_code == 201, answer.text
    signup = answer.json()
    participant, member = signup["participant"], signup["member"]
    assert (participant["inviter_id"], participant["depth"]) == (inviter.id, 1)
    assert participant["invite_url"] == f"https://t.invitree.cn/i/{participant['invite_code']}"
    assert participant["poster_url"] == f"https://t.invitree.cn/p/{participant['invite_code']}.jpg"
    assert (member["phone"], member["phone_verified"], member["nickname"]) == ("138****5678", True, "小明🍵")
    assert signup["referral"]["new_member"] is True
    assert signup["referral"]["decision"]["won"] == "first_bind"
    assert {(r["side"], r["days"], r["status"]) for r in signup["rewards"]} == {
        ("inviter", 30, "granted"),
        ("invitee", 30, "granted"),
    }
    for member_id in (inviter.member_id, member["id"]):
        membership = (await api.get(f"/v1/members/{member_id}/membership")).json()
        assert membership["active"] is True
        assert [grant["seconds"] for grant in membership["grants"]] == [30 * 86_400]
        assert membership["grants"][0]["periods"][0]["ends_at"] == membership["ends_at"]
    assert [type_ for type_, _ in await events(resources, merchant)] == [
        "participant.created",
        "referral.created",
        "reward.granted",
        "reward.granted",
    ]


async def test_the_same_member_again_is_200_and_nothing_new(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant)
    phone = new_phone()
    first = await sign_up(api, campaign, inviter.invite_code, phone=phone)
    owed = await events(resources, merchant)
    again = await sign_up(api, campaign, inviter.invite_code, phone=phone)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert await events(resources, merchant) == owed


async def test_without_a_code_nobody_is_bound_and_nothing_granted(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, _ = await open_campaign(resources, merchant)
    signup = (await sign_up(api, campaign)).json()
    assert (signup["referral"], signup["rewards"], signup["participant"]["inviter_id"]) == (None, [], None)
    membership = (await api.get(f"/v1/members/{signup['member']['id']}/membership")).json()
    assert (membership["active"], membership["ends_at"], membership["grants"]) == (False, None, [])


async def test_a_known_member_is_bound_but_brings_no_reward(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    first, _ = await open_campaign(resources, merchant)
    second, inviter = await open_campaign(resources, merchant)
    phone = new_phone()
    await sign_up(api, first, phone=phone)
    signup = (await sign_up(api, second, inviter.invite_code, phone=phone)).json()
    assert signup["participant"]["inviter_id"] == inviter.id
    assert (signup["referral"]["new_member"], signup["rewards"]) == (False, [])


async def test_above_the_cap_the_invite_is_bound_and_the_friend_still_gets_days(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant, rewards=ON_SIGNUP)
    for _ in range(2):
        await sign_up(api, campaign, inviter.invite_code)
    third = (await sign_up(api, campaign, inviter.invite_code)).json()
    assert {(r["side"], r["status"]) for r in third["rewards"]} == {("inviter", "skipped_cap"), ("invitee", "granted")}
    assert third["participant"]["inviter_id"] == inviter.id
    assert await days_left(api, inviter.member_id) == 60
    assert await days_left(api, third["member"]["id"]) == 30
    skipped = [data for type_, data in await events(resources, merchant) if type_ == "reward.skipped"]
    assert [data["participant_id"] for data in skipped] == [inviter.id]


async def test_a_friend_without_a_phone_leaves_the_inviters_days_owed_until_there_is_one(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant)
    signup = (await sign_up(api, campaign, inviter.invite_code, external_id="u-1")).json()
    assert {(r["side"], r["status"]) for r in signup["rewards"]} == {("inviter", "owed"), ("invitee", "granted")}
    again = (await sign_up(api, campaign, external_id="u-1", phone=new_phone())).json()
    assert {(r["side"], r["status"]) for r in again["rewards"]} == {("inviter", "granted"), ("invitee", "granted")}
    assert await days_left(api, inviter.member_id) == 30


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("draft", "campaign_not_active"),
        ("scheduled", "campaign_not_active"),
        ("paused", "campaign_not_active"),
        ("ended", "campaign_ended"),
        ("settled", "campaign_ended"),
    ],
)
async def test_a_campaign_that_is_not_active_takes_nobody(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, status: str, code: str
) -> None:
    campaign, inviter = await open_campaign(resources, merchant, status=status, starts_at=None)
    signup = await sign_up(api, campaign, inviter.invite_code)
    join = await api.post(f"/v1/campaigns/{campaign.id}/participants", json={"member": {"external_id": "u-1"}})
    for answer in (signup, join):
        assert (answer.status_code, answer.json()["code"]) == (409, code)


@pytest.mark.parametrize("invite_code", ["23456789", "oooooooo", "短", "x"])
async def test_a_bad_code_is_refused_and_nothing_is_written(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, invite_code: str
) -> None:
    campaign, _ = await open_campaign(resources, merchant)
    answer = await sign_up(api, campaign, invite_code, external_id="u-bad")
    assert (answer.status_code, answer.json()["code"]) == (422, "invite_code_unknown")
    assert answer.json()["errors"][0]["pointer"] == "/invite_code"
    assert (await api.get("/v1/members", params={"external_id": "u-bad"})).json()["data"] == []


async def test_a_code_of_another_campaign_is_told_apart_only_for_the_own_merchant(
    api: httpx.AsyncClient, live_api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, _ = await open_campaign(resources, merchant)
    other, inviter = await open_campaign(resources, merchant)
    answer = await sign_up(api, campaign, inviter.invite_code)
    assert (answer.status_code, answer.json()["code"]) == (422, "invite_code_other_campaign")
    live = (await live_api.post("/v1/signups", json={"campaign_id": other.id, "member": {"external_id": "u"}})).json()
    assert (live["status"], live["code"]) == (404, "campaign_not_found")


@pytest.mark.parametrize(
    ("member", "code"),
    [
        ({}, "member_identity_missing"),
        ({"nickname": "小明"}, "member_identity_missing"),
        ({"phone": "not a phone"}, "phone_invalid"),
        ({"phone": "+999 1234567"}, "phone_invalid"),
        ({"external_id": ""}, "validation_failed"),
        ({"external_id": "u" * 129}, "validation_failed"),
        ({"external_id": "u", "nickname": "x" * 65}, "validation_failed"),
        ({"external_id": "u", "avatar_url": "javascript:alert(1)"}, "validation_failed"),
        ({"external_id": "u", "shoe_size": 43}, "validation_failed"),
        ({"external_id": "u\0"}, "nul_byte"),
        ({"external_id": 7}, "validation_failed"),
    ],
)
async def test_a_member_that_does_not_fit_is_refused(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, member: dict[str, Any], code: str
) -> None:
    campaign, inviter = await open_campaign(resources, merchant)
    body = {"campaign_id": campaign.id, "member": member, "invite_code": inviter.invite_code}
    answer = await api.post("/v1/signups", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_an_unknown_campaign_is_not_found(api: httpx.AsyncClient) -> None:
    body = {"campaign_id": "cmp_01h2xcejqtf2nbrexx3vqjhp41", "member": {"external_id": "u-1"}}
    answer = await api.post("/v1/signups", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "campaign_not_found")


async def test_an_idempotency_key_replays_the_first_answer(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant)
    body = {"campaign_id": campaign.id, "member": {"phone": new_phone()}, "invite_code": inviter.invite_code}
    first = await api.post("/v1/signups", json=body, headers={"Idempotency-Key": "one"})
    again = await api.post("/v1/signups", json=body, headers={"Idempotency-Key": "one"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()
