"""Owing rewards with the signup, granting them once their trigger has happened, revoking them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, and_, bindparam, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.campaigns.document import RewardRule, RuleDocument, Trigger
from app.db import outbox
from app.db.rows import get_row
from app.kit import clock, ids
from app.kit.errors import Conflict
from app.models import Campaign, Participant, Referral, Reward
from app.rewards import memberships, rules
from app.rewards.granting import grant as grant
from app.rewards.granting import key_of
from app.rewards.views import reward_view


class Invitee(Protocol):
    """Of whom rewards may wait for something."""

    @property
    def campaign_id(self) -> str: ...
    @property
    def id(self) -> str: ...


async def owe(
    session: AsyncSession,
    *,
    merchant_id: str,
    campaign: Campaign,
    rule: RuleDocument,
    referral: Referral,
    inviter: Participant,
    invitee: Participant,
    phone_verified: bool,
    now: datetime,
) -> list[Reward]:
    """Write down what this invite earns both sides, in the signup's own transaction; at most once a rule and side.

    Nothing where only new members count and this one was known. `grant` those that are `due_now`.
    """
    if rule.new_members_only and not referral.new_member:
        return []
    happened = {"signup"} | ({"phone_verified"} if phone_verified else set())
    rows = [
        _row(wanted, inviter if wanted.to == "inviter" else invitee, referral, happened, now) for wanted in rule.rewards
    ]
    if not rows:
        return []
    for row in rows:
        row |= {"merchant_id": merchant_id, "campaign_id": campaign.id, "rule_version": campaign.rule_version}
    statement = insert(Reward).on_conflict_do_nothing().returning(Reward)
    # Without nulls the rows would differ in shape, and go one by one.
    return list(await session.scalars(statement, rows, execution_options={"render_nulls": True}))


def _row(
    rule: RewardRule, receiver: Participant, referral: Referral, happened: set[str], now: datetime
) -> dict[str, Any]:
    later = rule.on == "days_kept"
    return {
        "id": ids.new("rwd"),
        "referral_id": referral.id,
        "participant_id": receiver.id,
        "member_id": receiver.member_id,
        "invitee_id": referral.invitee_id,
        "rule_key": rule.key,
        "side": rule.to,
        "trigger": rule.on,
        "days": rule.days,
        "cap_days": rule.cap_days,
        "ripe": later or rule.on in happened,
        "next_attempt_at": now + clock.days(rule.keep_days or rules.KEEP_DAYS) if later else clock.utcnow(),
        "created_at": now,
    }


def due_now(rewards: Sequence[Reward]) -> list[Reward]:
    """Those of freshly owed rewards whose trigger has happened already."""
    return [reward for reward in rewards if reward.ripe and reward.trigger != "days_kept"]


_WAITING = (
    select(Reward)
    .where(
        Reward.merchant_id == bindparam("merchant_id"),
        tuple_(Reward.campaign_id, Reward.invitee_id).in_(bindparam("keys", expanding=True)),
        Reward.trigger == bindparam("trigger"),
        (Reward.status == "owed") | Reward.fallen,
    )
    .order_by(Reward.id)
    .with_for_update()
    .execution_options(populate_existing=True)
)


async def mark_ripe(
    session: AsyncSession, *, merchant_id: str, trigger: Trigger, invitees: Sequence[Invitee]
) -> list[Reward]:
    """Lock and return what waits for `trigger` to happen to these invitees, once more where it had fallen; to be
    granted, together with what else the same transaction grants, so that members are locked in one order."""
    keys = [(invitee.campaign_id, invitee.id) for invitee in invitees]
    if not keys:
        return []
    waiting = list(await session.scalars(_WAITING, {"merchant_id": merchant_id, "keys": keys, "trigger": trigger}))
    for reward in waiting:
        reward.round += reward.fallen
        reward.status, reward.ripe, reward.fallen = "owed", True, False
    if waiting:
        await session.flush()
    return waiting


async def ripen(
    session: AsyncSession, *, merchant_id: str, trigger: Trigger, invitees: Sequence[Invitee], now: datetime
) -> list[Reward]:
    """`trigger` has happened to these invitees: what waited for it is granted to both sides. Again: nothing more."""
    waiting = await mark_ripe(session, merchant_id=merchant_id, trigger=trigger, invitees=invitees)
    await grant(session, merchant_id=merchant_id, rewards=waiting, now=now)
    return waiting


async def grant_due(
    session: AsyncSession, *, merchant_id: str, now: datetime, due_by: datetime | None = None, limit: int = 100
) -> int:
    """Grant what is owed, ripe and due, of one merchant; how many rewards were decided, so that 0 means: not now.

    `now` is the merchant's clock. Due is what is so by the real one, or by `due_by` when a test clock was moved.
    """
    statement = (
        select(Reward)
        .where(_due(merchant_id, due_by))
        .order_by(Reward.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    due = (await session.scalars(statement, execution_options={"populate_existing": True})).all()
    await grant(session, merchant_id=merchant_id, rewards=due, now=now)
    return sum(reward.status != "owed" for reward in due)


async def grant_all_due(session: AsyncSession, *, merchant_id: str, now: datetime, limit: int = 100) -> None:
    """All of it in this transaction, for a test clock that was moved to `now`."""
    members = set(await session.scalars(select(Reward.member_id).where(_due(merchant_id, now))))
    if members:
        # All members before the first batch: batches alone would lock them in no order.
        await memberships.lock(session, merchant_id=merchant_id, member_ids=members)
    while await grant_due(session, merchant_id=merchant_id, now=now, due_by=now, limit=limit):
        pass


def _due(merchant_id: str, due_by: datetime | None) -> ColumnElement[bool]:
    instant = func.now() if due_by is None else literal(due_by)
    return and_(
        Reward.merchant_id == merchant_id, Reward.status == "owed", Reward.ripe, Reward.next_attempt_at <= instant
    )


async def revoke(
    session: AsyncSession,
    *,
    merchant_id: str,
    reward_id: str,
    reason: str,
    actor: str,
    now: datetime,
    fallen: bool = False,
) -> Reward:
    """Take a reward back: an owed one is owed no more, a granted one is cut from the tail of the member's days.

    `fallen`: what it was for is no more, and may happen again, which brings it back; else it is revoked for good.
    Again: the same reward. Conflict `reward_not_revocable` for one that the cap had skipped.
    """
    reward = await get_row(session, Reward, merchant_id=merchant_id, row_id=reward_id, noun="reward")
    await session.refresh(reward, with_for_update=True)
    if reward.status == "skipped_cap":
        raise Conflict("reward_not_revocable", "The cap skipped this reward; there is nothing to take back.")
    is_new = reward.status != "revoked"
    if not is_new and (fallen or not reward.fallen):
        return reward
    if reward.status == "granted":
        await _cut(session, reward, now)
    reward.status, reward.fallen = "revoked", fallen
    reward.decided_at = now if is_new else reward.decided_at
    own: dict[str, Any] = {"merchant_id": merchant_id, "actor": actor, "subject_id": reward.id}
    audit.record(session, **own, action="reward.revoked", reason=reason, at=now)
    if is_new:
        await outbox.emit_all(session, merchant_id, [("reward.revoked", reward_view(reward))], at=now)
    await session.flush()
    return reward


async def _cut(session: AsyncSession, reward: Reward, now: datetime) -> None:
    locked = await memberships.lock(session, merchant_id=reward.merchant_id, member_ids=[reward.member_id])
    own = (reward.merchant_id, reward.member_id, "revocation", key_of(reward))
    await memberships.append(session, locked, [memberships.make_grant(*own, days=-reward.days, now=now)])
