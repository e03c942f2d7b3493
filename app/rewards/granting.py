"""Turning owed rewards into days, all together where that works and one by one where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import outbox
from app.kit import logging
from app.models import Membership, Referral, Reward
from app.rewards import memberships, rules
from app.rewards.views import reward_view

log = logging.get(__name__)
EVENTS = {"granted": "reward.granted", "skipped_cap": "reward.skipped", "revoked": "reward.revoked"}


async def grant(session: AsyncSession, *, merchant_id: str, rewards: Sequence[Reward], now: datetime) -> None:
    """Decide owed rewards whose trigger has happened; their rows are this transaction's own or locked by it.

    A reward that fails stays owed, with the error on it, and the worker tries again: it never fails its signup.
    """
    due = sorted(rewards, key=lambda reward: (reward.member_id, reward.id))
    if not due or await _try(session, merchant_id, due, now):
        return
    for reward in due:
        if len(due) == 1 or not await _try(session, merchant_id, [reward], now):
            await _postpone(session, reward)


async def _try(session: AsyncSession, merchant_id: str, rewards: Sequence[Reward], now: datetime) -> bool:
    try:
        async with session.begin_nested():
            await _decide(session, merchant_id, rewards, now)
    except Exception as error:
        for reward in rewards:  # the savepoint's end made the session forget what it knew of them
            await session.refresh(reward)
            reward.last_error = str(error).partition("\n")[0][:500] or type(error).__name__
        log.exception("reward_failed", reward_ids=[reward.id for reward in rewards])
        return False
    return True


async def _postpone(session: AsyncSession, reward: Reward) -> None:
    reward.attempts += 1
    reward.next_attempt_at = func.now() + rules.wait_after(reward.attempts)
    await session.flush()
    await session.refresh(reward)


async def _decide(session: AsyncSession, merchant_id: str, rewards: Sequence[Reward], now: datetime) -> None:
    locked = await memberships.lock(session, merchant_id=merchant_id, member_ids=[r.member_id for r in rewards])
    # Read under the lock: what the same inviter earned a moment ago counts towards the cap.
    earned = await _earned_days(session, merchant_id, rewards)
    fallen = await _fallen(session, merchant_id, rewards)
    for reward in rewards:
        reward.status = "revoked" if reward.id in fallen else _status(reward, earned)
        reward.decided_at, reward.last_error = now, None
    await _give(session, locked, [reward for reward in rewards if reward.status == "granted"], now)
    await outbox.emit_all(session, merchant_id, [(EVENTS[r.status], reward_view(r)) for r in rewards], at=now)


def _status(reward: Reward, earned: dict[str, int]) -> str:
    if reward.side != "inviter":
        return "granted"
    before = earned.get(reward.participant_id, 0)
    if not rules.within_cap(before, reward.days, reward.cap_days):
        return "skipped_cap"
    earned[reward.participant_id] = before + reward.days
    return "granted"


async def _give(session: AsyncSession, locked: dict[str, Membership], rewards: Sequence[Reward], now: datetime) -> None:
    grants = [
        memberships.make_grant(
            reward.merchant_id, reward.member_id, "reward", key_of(reward), days=reward.days, now=now
        )
        for reward in rewards
    ]
    await memberships.append(session, locked, grants)


def key_of(reward: Reward) -> str:
    """Of what it grants, and of what takes that back: a reward that came back is granted anew."""
    return f"{reward.id}:{reward.round}" if reward.round else reward.id


async def _earned_days(session: AsyncSession, merchant_id: str, rewards: Sequence[Reward]) -> dict[str, int]:
    """What each capped inviter has been granted so far in its campaign."""
    capped = {reward.participant_id for reward in rewards if reward.side == "inviter" and reward.cap_days is not None}
    if not capped:
        return {}
    statement = (
        select(Reward.participant_id, func.sum(Reward.days))
        .where(
            Reward.merchant_id == merchant_id,
            Reward.participant_id.in_(capped),
            Reward.side == "inviter",
            Reward.status == "granted",
        )
        .group_by(Reward.participant_id)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}


async def _fallen(session: AsyncSession, merchant_id: str, rewards: Sequence[Reward]) -> set[str]:
    """Rewards for having been kept whose invite does not stand any more: the invitee has another inviter by now."""
    kept = [reward for reward in rewards if reward.trigger == "days_kept" and reward.side == "inviter"]
    if not kept:
        return set()
    of_these = Referral.id.in_([reward.referral_id for reward in kept])
    statement = select(Referral.id, Referral.inviter_id).where(Referral.merchant_id == merchant_id, of_these)
    inviters = {row[0]: row[1] for row in await session.execute(statement)}
    return {reward.id for reward in kept if inviters.get(reward.referral_id) != reward.participant_id}
