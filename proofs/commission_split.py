"""Commissions of a hundred thousand orders: no part below zero, no sum above its bounds, no refund that takes more."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from app.campaigns.document import CommissionLevel, CommissionRule
from app.cli.output import progress
from app.kit import ids
from app.models import Campaign, Commission
from app.resources import Resources
from proofs.frame import preloaded
from proofs.frame.command import Entry
from proofs.frame.report import Finding
from proofs.frame.stage import Stage
from proofs.money import split_cases
from proofs.money.desk import Desk, open_desk
from proofs.money.split_cases import Score

CASES, QUICK_CASES = 100_000, 10_000
PIECE = 2_500
SAMPLE, QUICK_SAMPLE = 400, 15
PROCESSES = 2
PATIENCE = 1_200
SEED = 20_261_122


async def run(stage: Stage, quick: bool) -> Finding:
    cases, sample = (QUICK_CASES, QUICK_SAMPLE) if quick else (CASES, SAMPLE)
    score = Score()
    with preloaded.context().Pool(1 if quick else PROCESSES) as pool:
        work = pool.map_async(play, range(SEED, SEED + cases // PIECE), 1)
        stored = await store_all(stage.resources, sample)
        for one in await asyncio.to_thread(work.get):
            score.cases += one.cases
            score.faults += one.faults
            score.seen += one.seen
    found = {
        "cases": score.cases,
        "cases that break a bound": len(score.faults),
        "orders in the database": len(stored),
        "orders in the database that differ": sum(map(bool, stored)),
        "kinds that no case had": sum(not score.seen[name] for name in KINDS),
    }
    expected = {**found, **dict.fromkeys(NONE, 0), "cases": cases, "orders in the database": sample}
    faults = [*score.faults[:5], *(fault for fault in stored if fault), f"{dict(score.seen)}"]
    return Finding(expected, found, score.cases + len(stored), score.seen["refunds"], cases, cases, faults)


KINDS = ("levels that earn", "parts that a budget cut", "parts that the cap cut", "refunds", "reversals")
NONE = ("cases that break a bound", "orders in the database that differ", "kinds that no case had")
PROOF = Entry("commission-split", run, seconds=PATIENCE, weight=7)


def play(seed: int, count: int = PIECE) -> Score:
    dice, score = random.Random(seed), Score()
    for _ in range(count):
        split_cases.check(split_cases.case(dice), score)
    return score


async def store_all(resources: Resources, count: int) -> list[str]:
    """A sample through the use cases: a fault of each order, or nothing."""
    dice, desk = random.Random(SEED), await open_desk(resources)
    found: list[str] = []
    with progress() as bar:
        for number in bar.track(range(count), description="orders"):
            if number % 5 == 0:
                desk = await open_desk(resources, **terms(dice))
            found.append(await store(desk, dice))
    return found


def terms(dice: random.Random) -> dict[str, Any]:
    """Of a campaign; half of them with a budget."""
    levels = tuple(CommissionLevel(level=level, rate_bps=dice.randint(1, 4_000)) for level in (1, 2))
    own = dice.choice((None, 2_000))
    rule = CommissionRule(levels=levels, rate_cap_bps=dice.choice((2_500, 5_000)), promoter_budget_minor=own)
    return {"commission": rule} | ({"budget_minor": dice.randint(100, 20_000)} if dice.random() < 0.5 else {})


async def store(desk: Desk, dice: random.Random) -> str:
    """One order, refunded in parts to the last fen; what its rows say after each."""
    name, lines = ids.new("ext"), {str(n): dice.randint(1, 9_999) for n in range(dice.randint(1, 3))}
    order = await desk.sell(name, lines)
    whole = sum(lines.values())
    rows, (budget, spent) = await _rows(desk, order.id), await _spent(desk)
    faults = _bounds(rows, lines)
    left, number = whole, 0
    while left:
        amount = left if number == 3 else min(left, dice.randint(1, whole))
        await desk.refund(name, f"{name}-{number}", amount)
        left -= amount
        rows = await _rows(desk, order.id)
        faults += _bounds(rows, lines)
        number += 1
    if any(sum(row.amount_minor for row in family) for family in _families(rows)):
        faults.append("a full refund left something")
    if budget is not None and spent > budget:
        faults.append("above the campaign's budget")
    return "; ".join(faults and [f"order {order.id}", *faults])


async def _rows(desk: Desk, order_id: str) -> Sequence[Commission]:
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        return (await session.scalars(select(Commission).where(Commission.order_id == order_id))).all()


async def _spent(desk: Desk) -> tuple[int | None, int]:
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        campaign = await session.get_one(Campaign, (desk.merchant_id, desk.shop.campaign.id))
        rows = await session.scalars(select(Commission.amount_minor).where(Commission.campaign_id == campaign.id))
        return campaign.budget_minor, sum(rows)


def _families(rows: Sequence[Commission]) -> list[list[Commission]]:
    firsts = [row for row in rows if row.reverses_id is None]
    return [[row for row in rows if first.id in (row.id, row.reverses_id)] for first in firsts]


def _bounds(rows: Sequence[Commission], lines: dict[str, int]) -> list[str]:
    found = ["more was taken back than was earned" for f in _families(rows) if sum(row.amount_minor for row in f) < 0]
    earned = sum(row.amount_minor for row in rows if row.reverses_id is None)
    return found + (["parts above the base"] if earned > sum(lines.values()) // 2 else [])
