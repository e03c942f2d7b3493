"""Many real requests at once on the real pool: what was promised once is given once."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
from fastapi import FastAPI
from sqlalchemy import func, select

from app.models import Member, MembershipGrant, Participant, Referral, Reward
from app.resources import Resources
from tests.factories import MerchantFixture, make_participant
from tests.factories.invites import events, new_phone, open_campaign, sign_up


async def count(resources: Resources, merchant: MerchantFixture, table: type) -> int:
    async with resources.db.tenant(merchant.test_id) as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_duplicates_with_rival_inviters_end_in_one_referral_one_pair_of_rewards_one_event(
    app: FastAPI, api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, _ = await open_campaign(resources, merchant)
    async with resources.db.tenant(merchant.test_id) as session:
        rivals = [await make_participant(session, campaign) for _ in range(20)]
    before = await count(resources, merchant, Member), await count(resources, merchant, Participant)
    phone = new_phone()
    answers = await asyncio.gather(
        *(sign_up(api, campaign, rivals[n % 20].invite_code, phone=phone) for n in range(60))
    )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 59}
    winner = next(answer.json() for answer in answers if answer.status_code == 201)
    assert {answer.json()["referral"]["inviter_id"] for answer in answers} == {winner["referral"]["inviter_id"]}
    assert {answer.json()["participant"]["id"] for answer in answers} == {winner["participant"]["id"]}
    assert await count(resources, merchant, Member) == before[0] + 1
    assert await count(resources, merchant, Participant) == before[1] + 1
    assert await count(resources, merchant, Referral) == 1
    assert await count(resources, merchant, Reward) == 2
    assert await count(resources, merchant, MembershipGrant) == 2
    sent = Counter(type_ for type_, _ in await events(resources, merchant))
    assert sent == {"participant.created": 1, "referral.created": 1, "reward.granted": 2}


async def test_many_friends_of_one_inviter_at_once_stop_at_the_cap(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant)
    answers = await asyncio.gather(*(sign_up(api, campaign, inviter.invite_code) for _ in range(40)))
    assert {answer.status_code for answer in answers} == {201}
    async with resources.db.tenant(merchant.test_id) as session:
        by_outcome = select(Reward.side, Reward.status, func.count()).group_by(Reward.side, Reward.status)
        outcome = {(side, status): number for side, status, number in await session.execute(by_outcome)}
    # 365 days hold twelve rewards of 30.
    assert outcome == {("inviter", "granted"): 12, ("inviter", "skipped_cap"): 28, ("invitee", "granted"): 40}
    membership = (await api.get(f"/v1/members/{inviter.member_id}/membership")).json()
    assert len(membership["grants"]) == 12


async def test_chains_that_grow_at_both_ends_at_once_do_not_deadlock(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    """Each signup locks the days of two members; a ring of inviters makes every order of two occur."""
    campaign, first = await open_campaign(resources, merchant)
    friends = [(await sign_up(api, campaign, first.invite_code)).json()["participant"] for _ in range(6)]
    codes = [first.invite_code, *(friend["invite_code"] for friend in friends)]
    answers = await asyncio.gather(*(sign_up(api, campaign, codes[n % len(codes)]) for n in range(56)))
    assert {answer.status_code for answer in answers} == {201}


async def test_the_same_new_person_in_two_campaigns_at_once_is_new_only_once(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    pairs = [await open_campaign(resources, merchant) for _ in range(4)]
    phone = new_phone()
    answers = await asyncio.gather(
        *(sign_up(api, campaign, inviter.invite_code, phone=phone) for campaign, inviter in pairs)
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["member"]["id"] for answer in answers}) == 1
    assert sorted(answer.json()["referral"]["new_member"] for answer in answers) == [False, False, False, True]


async def test_one_person_under_two_names_at_once_is_one_member_or_a_clear_conflict(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, _ = await open_campaign(resources, merchant)
    phone = new_phone()
    identities = [{"phone": phone}, {"phone": phone, "external_id": "u-1"}, {"external_id": "u-1"}] * 8
    answers = await asyncio.gather(*(sign_up(api, campaign, **identity) for identity in identities))
    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    refused = [answer.json()["code"] for answer in answers if answer.status_code == 409]
    assert set(refused) <= {"member_identity_conflict"}
