"""Payouts at a provider that carries out and then falls silent, while the worker is killed: each is paid once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress
from sqlalchemy import func, select, text

from app.cli.output import progress
from app.db.outbox import OutboxEvent
from app.kit import ids
from app.ledger.verify import verify as verify_ledger
from app.models import Payout, PayoutBatch, SandboxTransfer
from app.payouts import checkup, reconciliation
from app.payouts.rails.rules import transfer_key
from proofs.frame.command import Entry
from proofs.frame.programs import Program, work
from proofs.frame.report import Finding
from proofs.frame.stage import Stage
from tests.factories import make_campaign, make_merchant
from tests.factories.payables import make_payable
from tests.factories.rails import Counter, open_counter

PAYOUTS, QUICK_PAYOUTS = 1_000, 50
KILLS, QUICK_KILLS = 20, 2
SILENT_BPS = 3_000
# Beside what is promised: requests and answers that get lost, and payees who confirm later.
LOST_BPS, LATE_BPS, LATE_SECONDS = 500, 500, 3
LIFE_SECONDS = (0.2, 1.2)
START_PATIENCE, PATIENCE = 60.0, 1_800
_OPEN = text("SELECT count(*) FROM payouts WHERE merchant_id = :merchant AND status NOT IN ('paid', 'failed')")
_CLAIMED = text("SELECT coalesce(sum(attempts), 0) FROM payouts WHERE merchant_id = :merchant")


@dataclass(slots=True)
class Paying:
    """`held`: claims that a killed worker had when it died."""

    counter: Counter
    dice: random.Random
    kills: int = 0
    held: int = 0

    async def count(self, statement: Any) -> int:
        async with self.counter.resources.db.system() as session:
            return int(await session.scalar(statement, {"merchant": ids.decode("mch", self.counter.merchant_id)}) or 0)


async def run(stage: Stage, quick: bool) -> Finding:
    wanted, kills = (QUICK_PAYOUTS, QUICK_KILLS) if quick else (PAYOUTS, KILLS)
    with progress() as bar:
        paying, batch = await prepare(stage, wanted, bar)
        with work(stage) as worker:
            await kill_again_and_again(paying, worker, kills, bar)
            await wait_for_all(paying, wanted, bar)
    return await judge(paying, batch, wanted=wanted, kills=kills)


PROOF = Entry("payout", run, seconds=PATIENCE, durable=True, weight=7)


async def prepare(stage: Stage, wanted: int, bar: Progress) -> tuple[Paying, PayoutBatch]:
    merchant = await make_merchant(stage.resources)
    counter = await open_counter(stage.resources, merchant.test_id)
    dice = random.Random(20_261_122)
    async with stage.resources.db.tenant(counter.merchant_id) as session:
        campaign = await make_campaign(session, counter.merchant_id)
        for number in bar.track(range(wanted), description="members"):
            account: dict[str, Any] = {"kind": "wechat", "account": f"oUpF8uMuAJO_{number:06d}"}
            await make_payable(session, counter.merchant_id, dice.randint(100, 99_999), campaign=campaign, **account)
    lost = {"loses_bps": LOST_BPS, "loses_answers_bps": LOST_BPS}
    late = {"asks_payee_bps": LATE_BPS, "confirms_after_seconds": LATE_SECONDS}
    await counter.misbehave(times_out_bps=SILENT_BPS, **lost, **late)
    batch = await counter.send((await counter.approved()).id)
    return Paying(counter, dice), batch


async def kill_again_and_again(paying: Paying, worker: Program, kills: int, bar: Progress) -> None:
    for _ in bar.track(range(kills), description="kills"):
        await wait_for_work(paying)
        await asyncio.sleep(paying.dice.uniform(*LIFE_SECONDS))
        paying.kills += worker.kill()
        paying.held += await paying.count(
            text("SELECT count(*) FROM payouts WHERE merchant_id = :merchant AND leased_until > now()")
        )
        # A minute of the real clock, which nobody has to wait for.
        await paying.counter.lapse()
        worker.start()


async def wait_for_work(paying: Paying) -> None:
    """A worker that was just started has claimed something, or nothing is left to claim."""
    before, deadline = await paying.count(_CLAIMED), time.monotonic() + START_PATIENCE
    while time.monotonic() < deadline:
        if await paying.count(_CLAIMED) != before or not await paying.count(_OPEN):
            return
        await asyncio.sleep(0.02)


async def wait_for_all(paying: Paying, wanted: int, bar: Progress) -> None:
    """The tenant's clock is moved on, so that waiting times do not have to be waited for."""
    task = bar.add_task("paid", total=wanted)
    deadline = time.monotonic() + PATIENCE / 2
    while (left := await paying.count(_OPEN)) and time.monotonic() < deadline:
        bar.update(task, completed=wanted - left)
        await asyncio.sleep(0.5)
        await paying.counter.pass_time(30)
    bar.update(task, completed=wanted - left)


async def judge(paying: Paying, batch: PayoutBatch, *, wanted: int, kills: int) -> Finding:
    counter = paying.counter
    payouts, transfers = await counter.payouts(), await counter.transfers()
    async with counter.resources.db.system() as session:
        own: dict[str, Any] = {"merchant_id": counter.merchant_id}
        types = select(OutboxEvent.type, func.count()).where(OutboxEvent.merchant_id == counter.merchant_id)
        events = dict((await session.execute(types.group_by(OutboxEvent.type))).tuples().all())
        stuck = await checkup.examine(session, **own, now=await counter.now())
        report = await reconciliation.reconcile(session, **own)
        books = await verify_ledger(session, **own)
    found = {
        "transfers": len(transfers),
        "sum transferred": sum(each.amount_minor for each in transfers),
        "payouts paid": sum(each.status == "paid" for each in payouts),
        "transfers that are no payout's": len(strange(payouts, transfers)),
        "sent again though carried out": sum(each.asked_again for each in transfers),
        "stuck": len(stuck),
        "batch": (await counter.batch(batch.id)).status,
        "webhooks of it": events.get("payout.paid", 0),
        "differences": len(report.differences) + len(books.differences),
        "workers killed": paying.kills,
    }
    expected = dict.fromkeys(found, 0) | {
        "transfers": wanted,
        "sum transferred": batch.total_minor,
        "payouts paid": wanted,
        "batch": "settled",
        "webhooks of it": wanted,
        "workers killed": kills,
    }
    asked_twice = sum(each.attempts > 1 for each in payouts)
    named = [(each.check, each.subject_id) for each in report.differences] + [(s.check, s.subject_id) for s in stuck]
    faults = [f"{check}: {subject_id}" for check, subject_id in named]
    remark = f"{paying.held} claims were held by workers when they were killed"
    return Finding(expected, found, wanted, asked_twice, wanted, wanted * 15 // 100, [*faults, remark])


def strange(payouts: Sequence[Payout], transfers: Sequence[SandboxTransfer]) -> list[str]:
    """Of another key or another amount than a payout has."""
    known = {transfer_key(each.id): each.amount_minor for each in payouts}
    return [each.key for each in transfers if known.get(each.key) != each.amount_minor]
