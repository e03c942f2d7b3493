"""What the stores hold once all is drained, beside what clients were told: each thing found that must not be."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TypeVar

from sqlalchemy import Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.counters import Report, compare_campaign
from app.db.base import TenantRow
from app.db.outbox import OutboxEvent
from app.kit import ids
from app.ledger.verify import verify as verify_ledger
from app.models import MembershipGrant, Order, Participant, Referral, Refund, Reward
from app.resources import Resources, open_resources
from app.tracking import verify_rollups
from app.tracking.keys import Keys, shard_of
from app.worker import counters
from proofs.frame.diary import Book, Diary
from proofs.frame.stage import Stage
from proofs.frame.traffic import Scene

T = TypeVar("T")
DRAIN_PATIENCE = 90.0
_EVENTS = text("SELECT id, client_event_id FROM tracked_events WHERE campaign_id = :campaign")
_COUNTED = text("""
    SELECT coalesce(sum(clicks + scans + views + shares + bot_hits + late_hits), 0)::bigint
    FROM participant_totals WHERE campaign_id = :campaign
""")
_PAIRS = text("""
    SELECT count(*) FROM referrals r WHERE r.merchant_id = :merchant AND
        (SELECT count(DISTINCT side) FROM rewards w WHERE w.merchant_id = r.merchant_id AND w.referral_id = r.id
         AND w.status IN ('granted', 'skipped_cap')) <> 2
""")


async def tracking(stage: Stage, scene: Scene, diary: Diary) -> dict[str, int]:
    """Zero each. Waits until the streams are drained and no repair is owed."""
    report = await compare(stage.resources, scene)
    diary.faults += [f"counters differ: {difference}" for difference in report.differences]
    given = {"campaign": ids.decode("cmp", scene.campaign.id)}
    async with stage.resources.db.system() as session:
        rows = [(id_, name) for id_, name in await session.execute(_EVENTS, given)]
        counted = await session.scalar(_COUNTED, given)
    visits = [id_ for id_, name in rows if name is None]
    events = [name for _, name in rows if name is not None]
    return {
        "acknowledged visits lost": len(diary.visits - set(visits)),
        "acknowledged events lost": len(diary.events.told.keys() - set(events)),
        "rows doubled": len(visits) - len(set(visits)) + len(events) - len(set(events)),
        "visits nobody made": max(0, len(visits) - diary.visits_tried),
        "events nobody sent": len(set(events) - diary.events.tried),
        "rollups beside the rows": abs(int(counted or 0) - len(rows)),
        "counters that differ": len(report.differences),
    }


async def end_leases(resources: Resources) -> None:
    """As if the time of a worker that was killed had run out: who comes after it need not wait."""
    async with resources.db.system() as session:
        if await session.scalar(text("SELECT to_regclass('stream_leases') IS NOT NULL")):
            await session.execute(text("DELETE FROM stream_leases"))


async def compare(resources: Resources, scene: Scene) -> Report:
    """Live counters, rollups and rows, when nothing is on its way between them any more."""
    merchant, campaign, report = (
        ids.decode("mch", scene.merchant.test_id),
        ids.decode("cmp", scene.campaign.id),
        Report(),
    )
    await end_leases(resources)
    # As another process that ends again, so that it holds no shard afterwards.
    async with asyncio.timeout(DRAIN_PATIENCE), open_resources(resources.settings) as own:
        await counters.catch_up(own, DRAIN_PATIENCE)
        await compare_campaign(own, merchant, campaign, report)
    async with resources.db.system() as session:
        report.differences += await verify_rollups.rollups(session, [campaign])
    return report


async def live_counters(resources: Resources, campaign_id: str, *, ready: bool = True) -> dict[str, int] | None:
    """What Redis has of a campaign; None while it lacks some of its past, unless asked for all the same."""
    campaign = ids.decode("cmp", campaign_id)
    keys = Keys(shard_of(campaign, resources.settings.track_shards))
    async with resources.redis.pipeline(transaction=True) as pipe:
        pipe.mget(keys.epoch, keys.ready)
        pipe.hgetall(keys.campaign(campaign))
        (epoch, whole), found = await pipe.execute()
    if ready and (epoch is None or epoch != whole):
        return None
    return {name.decode(): int(number) for name, number in found.items()}


async def money(stage: Stage, scene: Scene, diary: Diary) -> dict[str, int]:
    """Zero each."""
    merchant_id = scene.merchant.test_id
    seeds = {inviter.id for inviter in scene.inviters}
    async with stage.resources.db.system() as session:
        people = set(await session.scalars(select(Participant.id).where(Participant.merchant_id == merchant_id)))
        orders = await _found(
            session, select(Order.external_order_id, Order.id).where(Order.merchant_id == merchant_id)
        )
        refunds = select(Refund.external_refund_id, Refund.id).where(
            Refund.merchant_id == merchant_id, Refund.status == "applied"
        )
        applied = await _found(session, refunds)
        referrals = await _count(session, Referral, merchant_id)
        grants = await _count(session, MembershipGrant, merchant_id)
        statuses = select(Reward.status, func.count()).where(Reward.merchant_id == merchant_id).group_by(Reward.status)
        rewards = Counter(await _found(session, statuses))
        types = select(OutboxEvent.type, func.count()).where(OutboxEvent.merchant_id == merchant_id)
        outbox = Counter(await _found(session, types.group_by(OutboxEvent.type)))
        half_pairs = await session.scalar(_PAIRS, {"merchant": ids.decode("mch", merchant_id)})
        books = await verify_ledger(session, merchant_id=merchant_id)
    diary.faults += [f"ledger: {difference}" for difference in books.differences]
    owed = {
        "participant.created": len(people - seeds),
        "referral.created": referrals,
        "order.paid": len(orders),
        "order.refunded": len(applied),
        "reward.granted": rewards["granted"],
        "reward.skipped": rewards["skipped_cap"],
    }
    diary.faults += [f"outbox: {outbox[name]} {name}, owed {n}" for name, n in owed.items() if outbox[name] != n]
    return {
        "acknowledged signups lost": len(set(diary.signups.told.values()) - people),
        "signups nobody made": max(0, len(people - seeds) - len(diary.signups.tried)),
        "signups without their invite": len(people - seeds) - referrals,
        "half reward pairs": int(half_pairs or 0),
        "grants beside the rewards": abs(grants - rewards["granted"]),
        "acknowledged orders lost": _lost(diary.orders, orders),
        "acknowledged refunds lost": _lost(diary.refunds, applied),
        "outbox rows beside what is owed": sum(abs(outbox[name] - number) for name, number in owed.items()),
        "ledger differences": len(books.differences),
    }


def _lost(book: Book, found: dict[str, str]) -> int:
    return sum(found.get(name) != made for name, made in book.told.items())


async def _found(session: AsyncSession, statement: Select[tuple[str, T]]) -> dict[str, T]:
    return dict((await session.execute(statement)).tuples().all())


async def _count(session: AsyncSession, table: type[TenantRow], merchant_id: str) -> int:
    return await session.scalar(select(func.count()).select_from(table).where(table.merchant_id == merchant_id)) or 0
