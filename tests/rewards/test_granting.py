from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
from sqlalchemy import func, select, update

from app import embedded
from app.campaigns.document import RewardRule, Side, Trigger
from app.kit import clock, ids
from app.models import Member, Membership, MembershipGrant, Participant, Reward
from app.referrals.identity import MemberIdentity
from app.resources import Resources
from app.rewards import memberships, service
from app.signups import service as signups
from app.worker.rewards import grant_owed
from tests.factories import MerchantFixture, make_participant
from tests.factories.invites import events, new_phone, open_campaign, sign_up
from tests.factories.locks import until_blocked


def both(on: Trigger, *, keep_days: int | None = None) -> tuple[RewardRule, ...]:
    sides: tuple[Side, ...] = ("inviter", "invitee")
    return tuple(
        RewardRule(key=f"{side}_days", on=on, to=side, days=30, cap_days=365, keep_days=keep_days) for side in sides
    )


@asynccontextmanager
async def no_days_for(stack: embedded.Stack, member_id: str) -> AsyncIterator[None]:
    """The database refuses this member's grants, by a constraint that only the owner could make."""
    owner = await asyncpg.connect(stack.owner_url)
    refused = f"CHECK (member_id <> '{ids.decode('mbr', member_id)}') NOT VALID"
    await owner.execute(f"ALTER TABLE membership_grants ADD CONSTRAINT no_days {refused}")
    try:
        yield
    finally:
        await owner.execute("ALTER TABLE membership_grants DROP CONSTRAINT no_days")
        await owner.close()


async def make_due(resources: Resources, merchant: MerchantFixture) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        await session.execute(update(Reward).values(next_attempt_at=func.now()))


async def seconds_of(resources: Resources, merchant: MerchantFixture, member_id: str) -> int:
    async with resources.db.tenant(merchant.test_id) as session:
        mine = select(func.coalesce(func.sum(MembershipGrant.seconds), 0)).where(MembershipGrant.member_id == member_id)
        return int(await session.scalar(mine) or 0)


async def test_a_failing_reward_fails_neither_the_signup_nor_the_other_side(
    stack: embedded.Stack, api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant)
    async with no_days_for(stack, inviter.member_id):
        answer = await sign_up(api, campaign, inviter.invite_code)
        assert answer.status_code == 201, answer.text
        assert {(r["side"], r["status"]) for r in answer.json()["rewards"]} == {
            ("inviter", "owed"),
            ("invitee", "granted"),
        }
        await make_due(resources, merchant)
        assert await grant_owed(resources) == 0
    async with resources.db.tenant(merchant.test_id) as session:
        (owed,) = await session.scalars(select(Reward).where(Reward.status == "owed"))
        assert owed.attempts == 2
        assert "no_days" in (owed.last_error or "")
        assert owed.next_attempt_at > clock.utcnow()
    assert await grant_owed(resources) == 0, "it waits for its next attempt"
    await make_due(resources, merchant)
    assert await grant_owed(resources) == 1
    assert await seconds_of(resources, merchant, inviter.member_id) == 30 * 86_400
    assert [type_ for type_, _ in await events(resources, merchant)].count("reward.granted") == 2
    assert await grant_owed(resources) == 0


async def test_two_workers_at_once_grant_once(
    stack: embedded.Stack, api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant)
    async with no_days_for(stack, inviter.member_id):
        for _ in range(5):
            await sign_up(api, campaign, inviter.invite_code)
    await make_due(resources, merchant)
    assert sum(await asyncio.gather(*(grant_owed(resources) for _ in range(4)))) == 5
    assert await seconds_of(resources, merchant, inviter.member_id) == 5 * 30 * 86_400


async def test_kept_days_fall_due_on_the_tenants_clock(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant, rewards=both("days_kept", keep_days=10))
    signup = (await sign_up(api, campaign, inviter.invite_code)).json()
    assert {reward["status"] for reward in signup["rewards"]} == {"owed"}
    await api.post("/v1/test-clock", json={"advance_seconds": 10 * 86_400 - 60})
    rewards = (await api.get("/v1/rewards", params={"campaign_id": campaign.id})).json()["data"]
    assert {reward["status"] for reward in rewards} == {"owed"}
    await api.post("/v1/test-clock", json={"advance_seconds": 60})
    rewards = (await api.get("/v1/rewards", params={"campaign_id": campaign.id})).json()["data"]
    assert {reward["status"] for reward in rewards} == {"granted"}


async def test_kept_days_are_not_for_an_inviter_whose_friend_went_to_another(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant, rewards=both("days_kept"))
    other = (await sign_up(api, campaign)).json()["participant"]
    friend = (await sign_up(api, campaign, inviter.invite_code)).json()["participant"]
    moved = {"inviter_id": other["id"], "reason": "scanned the wrong poster"}
    assert (await api.post(f"/v1/participants/{friend['id']}/rebind", json=moved)).status_code == 200
    await api.post("/v1/test-clock", json={"advance_seconds": 7 * 86_400})
    rewards = (await api.get("/v1/rewards", params={"campaign_id": campaign.id})).json()["data"]
    assert {(r["side"], r["status"]) for r in rewards} == {("inviter", "revoked"), ("invitee", "granted")}


async def test_an_order_ripens_what_waited_for_it_once(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant, rewards=both("order_paid"))
    friend = (await sign_up(api, campaign, inviter.invite_code)).json()["participant"]

    async def paid() -> int:
        async with resources.db.tenant(merchant.test_id) as session:
            buyer = await session.get(Participant, (merchant.test_id, friend["id"]))
            assert buyer is not None
            ripe = await service.ripen(
                session, merchant_id=merchant.test_id, trigger="order_paid", invitees=[buyer], now=clock.utcnow()
            )
            return len(ripe)

    assert sorted(await asyncio.gather(paid(), paid(), paid())) == [0, 0, 2]
    for member_id in (inviter.member_id, friend["member_id"]):
        assert await seconds_of(resources, merchant, member_id) == 30 * 86_400


async def test_a_code_from_the_phone_grants_what_waited_for_it(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign, inviter = await open_campaign(resources, merchant)
    async with resources.db.tenant(merchant.test_id) as session:
        tenant: Any = {"merchant_id": merchant.test_id, "now": clock.utcnow()}
        result = await signups.sign_up(
            session,
            campaign_id=campaign.id,
            identity=MemberIdentity(phone=new_phone()),
            invite_code=inviter.invite_code,
            **tenant,
        )
        assert {(r.side, r.status) for r in result.rewards} == {("inviter", "owed"), ("invitee", "granted")}
        granted = await signups.phone_verified(session, member_id=result.member.id, **tenant)
        assert [(reward.side, reward.status) for reward in granted] == [("inviter", "granted")]
        assert await signups.phone_verified(session, member_id=result.member.id, **tenant) == []
    assert await seconds_of(resources, merchant, inviter.member_id) == 30 * 86_400


async def test_days_that_are_no_reward_are_given_once_a_source(resources: Resources, merchant: MerchantFixture) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        member = Member(merchant_id=merchant.test_id, id=ids.new("mbr"), external_id="u-1")
        session.add(member)

    async def trial() -> None:
        async with resources.db.tenant(merchant.test_id) as session:
            await memberships.extend(
                session,
                merchant_id=merchant.test_id,
                member_id=member.id,
                source="trial",
                source_key="first",
                days=30,
                paid=False,
                now=clock.utcnow(),
            )

    await asyncio.gather(*(trial() for _ in range(5)))
    assert await seconds_of(resources, merchant, member.id) == 30 * 86_400
    async with resources.db.tenant(merchant.test_id) as session:
        membership = await session.get(Membership, (merchant.test_id, member.id))
        assert membership is not None
        assert membership.ends_at is not None
        assert membership.ends_at > clock.utcnow() + clock.days(29)


async def test_members_asked_for_in_any_order_are_locked_in_one(
    resources: Resources, merchant: MerchantFixture
) -> None:
    """Transactions over the same members in opposite orders would wait for each other, and one would be killed."""
    async with resources.db.tenant(merchant.test_id) as session:
        members = [Member(merchant_id=merchant.test_id, id=ids.new("mbr"), external_id=f"u-{n}") for n in range(40)]
        session.add_all(members)
    wanted = [member.id for member in members]

    async def lock(member_ids: list[str]) -> None:
        async with resources.db.tenant(merchant.test_id) as session:
            await memberships.lock(session, merchant_id=merchant.test_id, member_ids=member_ids)

    for _ in range(5):
        await asyncio.gather(*(lock(wanted[:: (-1) ** n]) for n in range(6)))


async def test_all_that_is_due_is_granted_to_members_in_one_order(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    """A signup that has one of two members must not be waited for with the other one in hand."""
    campaign, inviter = await open_campaign(resources, merchant, rewards=both("days_kept")[:1])
    async with resources.db.tenant(merchant.test_id) as session:
        second = await make_participant(session, campaign)
    for late_comer in (second, inviter):  # what is due first is for the member with the higher id
        await sign_up(api, campaign, late_comer.invite_code)
    own: dict[str, Any] = {"merchant_id": merchant.test_id}

    async def grant_all() -> None:
        async with resources.db.tenant(merchant.test_id) as session:
            await service.grant_all_due(session, **own, now=clock.utcnow() + clock.days(8), limit=1)

    async with resources.db.tenant(merchant.test_id) as session:
        await memberships.lock(session, **own, member_ids=[inviter.member_id])
        granting = asyncio.create_task(grant_all())
        await until_blocked(resources, granting)
        await memberships.lock(session, **own, member_ids=[inviter.member_id, second.member_id])
    await granting
    for participant in (inviter, second):
        assert await seconds_of(resources, merchant, participant.member_id) == 30 * 86_400
