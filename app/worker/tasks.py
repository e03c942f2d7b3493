"""What the worker does. Each room adds its line; a task opens its own transactions through `resources.db`."""

from __future__ import annotations

from sqlalchemy import delete, func, text

from app.models import IdempotencyKey, PhoneCode
from app.referrals.phone_codes import SENDS_FORGOTTEN_AFTER
from app.resources import Resources
from app.worker import (
    avatars,
    campaigns,
    checkouts,
    commissions,
    counters,
    lag,
    payouts,
    posters,
    refunds,
    rewards,
    tracking,
    webhooks,
)
from app.worker.loop import Task


async def forget_old_answers(resources: Resources) -> int:
    async with resources.db.system() as session:
        old = IdempotencyKey.created_at < func.now() - text("interval '30 days'")
        await session.execute(delete(IdempotencyKey).where(old))
    return 0


async def forget_old_codes(resources: Resources) -> int:
    """A code lives for minutes, and the count of those sent to a phone for a day."""
    async with resources.db.system() as session:
        old = PhoneCode.sent_at < func.now() - 2 * SENDS_FORGOTTEN_AFTER
        await session.execute(delete(PhoneCode).where(old))
    return 0


TASKS = (
    Task("carry_payouts", payouts.carry_payouts, every_seconds=0.5),
    Task("deliver_webhooks", webhooks.deliver, every_seconds=1),
    Task("drain_streams", tracking.keep_draining, every_seconds=0.1),
    Task("draw_posters", posters.draw_posters, every_seconds=1),
    Task("drop_old_events", tracking.drop_old_events, every_seconds=3600),
    Task("fan_out_events", webhooks.fan_out, every_seconds=0.5),
    Task("fetch_avatars", avatars.fetch_avatars, every_seconds=1),
    Task("follow_checkouts", checkouts.follow_checkouts, every_seconds=0.5),
    Task("fold_old_hours", tracking.fold_old_hours, every_seconds=3600),
    Task("forget_event_keys", tracking.forget_event_keys, every_seconds=3600),
    Task("forget_event_origins", tracking.forget_event_origins, every_seconds=3600),
    Task("forget_old_answers", forget_old_answers, every_seconds=3600),
    Task("forget_old_codes", forget_old_codes, every_seconds=3600),
    Task("forget_posters", posters.forget_posters, every_seconds=600),
    Task("grant_owed_rewards", rewards.grant_owed, every_seconds=2),
    Task("make_event_partitions", tracking.make_event_partitions, every_seconds=3600),
    Task("notify_late", checkouts.notify_late, every_seconds=1),
    Task("pay_back", refunds.pay_back, every_seconds=1),
    Task("release_holds", commissions.release_holds, every_seconds=2),
    Task("repair_counters", counters.repair_counters, every_seconds=0.5),
    Task("rewrite_journals", tracking.rewrite_journals, every_seconds=3600),
    Task("settle_campaigns", campaigns.settle_campaigns, every_seconds=600),
    Task("turn_due_campaigns", campaigns.turn_due_campaigns, every_seconds=2),
    Task("watch_lag", lag.Watch().look, every_seconds=2),
)
