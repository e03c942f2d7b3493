"""Hundreds of withdrawals of the same money at once, while it is refunded and released: one each, to the fen."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from app.cli.output import progress
from app.kit import clock, ids
from app.models import Participant, Withdrawal
from proofs.frame.command import Entry
from proofs.frame.lines import Answer, Line
from proofs.frame.report import Finding
from proofs.frame.server import serve
from proofs.frame.stage import Stage
from proofs.money import checks
from proofs.money.desk import Desk, add_promoter, open_desk

AT_ONCE = 200
ROUNDS, QUICK_ROUNDS = 8, 1
OTHERS, QUICK_OTHERS, EACH = 5, 2, 10
ORDERS = 8
PROCESSES = 2
PATIENCE = 900
REFUSALS = frozenset({"withdrawal_open", "withdrawal_overtaken", "nothing_payable", "below_minimum"})


@dataclass(frozen=True, slots=True)
class Try:
    """One answer: of which member, what it made or why not, and when it was under way."""

    member_id: str
    made: str
    code: str
    began: float
    ended: float


@dataclass(slots=True)
class Race:
    """`refunded`, `released`: how often meanwhile; `unserved`: answers that ask to come again."""

    desk: Desk
    addresses: Sequence[str]
    tries: list[Try] = field(default_factory=list)
    refunded: int = 0
    released: int = 0
    unserved: int = 0
    faults: list[str] = field(default_factory=list)

    def line(self, number: int) -> Line:
        return Line(self.addresses[number % len(self.addresses)], patience=60)

    async def post(self, line: Line, path: str, body: dict[str, Any]) -> Answer:
        headers = {"Authorization": f"Bearer {self.desk.key}", "Idempotency-Key": ids.new("key")}
        return await line.post(path, headers, json.dumps(body).encode())


async def run(stage: Stage, quick: bool) -> Finding:
    rounds, others = (QUICK_ROUNDS, QUICK_OTHERS) if quick else (ROUNDS, OTHERS)
    found: Counter[str] = Counter()
    faults: list[str] = []
    with serve(stage, processes=PROCESSES) as server, progress() as bar:
        addresses = [process.base_url for process in server.processes]
        for _ in bar.track(range(rounds), description="races"):
            race = await one_race(stage, addresses, at_once=AT_ONCE, others=others)
            found += await judge(race)
            faults += race.faults
        faults += server.faults()
    members = rounds * (1 + others)
    shown = {
        "withdrawals made": found["withdrawals made"],
        "members who have one": found["members who have one"],
        "faults": len(faults),
        "too few meanwhile": sum(found[name] < least * rounds for name, least in LEAST.items()),
    }
    expected = dict.fromkeys(shown, 0) | {"withdrawals made": members, "members who have one": members}
    load = rounds * (AT_ONCE + others * EACH)
    return Finding(expected, shown, found["requests"], found["crossed"], load, rounds * 40, [*faults, f"{dict(found)}"])


LEAST = {"refunds meanwhile": 4, "releases meanwhile": 1}
PROOF = Entry("race-withdraw", run, seconds=PATIENCE, weight=7)


async def one_race(stage: Stage, addresses: Sequence[str], *, at_once: int, others: int) -> Race:
    """One balance that all want, and a few that a few want; all of them with orders that are refunded and released."""
    desk = await open_desk(stage.resources, starts_at=clock.utcnow() - timedelta(days=30))
    promoters = [(desk.shop.first, desk.shop.buyer), *[await add_promoter(desk) for _ in range(others)]]
    race, sold = Race(desk, addresses), list[str]()
    for _, buyer in promoters:
        for number in range(ORDERS if buyer is desk.shop.buyer else 2):
            sold.append(ids.new("ext"))
            # Half of it is payable, the other half becomes so while it is asked for.
            paid_at = desk.now - timedelta(days=8 if number % 2 == 0 else 6)
            await desk.sell(sold[-1], {"1": 5_900, "2": 333}, paid_at=paid_at, buyer=buyer)
    async with asyncio.TaskGroup() as group:
        group.create_task(refund_all(race, sold))
        group.create_task(release_all(race))
        for place, (promoter, _) in enumerate(promoters):
            for number in range(EACH if place else at_once):
                group.create_task(try_once(race, promoter, number))
    return race


async def try_once(race: Race, promoter: Participant, number: int) -> None:
    line = race.line(number)
    began = time.monotonic()
    answer = await race.post(line, "/v1/withdrawals", {"member_id": promoter.member_id})
    while answer.status == 503 and time.monotonic() < began + PATIENCE / 2:
        # No connection was free for as long as one waits: "nothing was changed", and clients ask again.
        race.unserved += 1
        answer = await race.post(line, "/v1/withdrawals", {"member_id": promoter.member_id})
    ended = time.monotonic()
    line.close()
    said = answer.json()
    made, code = (said["id"], "") if answer.status == 201 else ("", str(said.get("code")))
    race.tries.append(Try(promoter.member_id, made, code, began, ended))
    if answer.status != 201 and (answer.status != 409 or code not in REFUSALS):
        race.faults.append(f"{answer.status} {answer.body[:200]!r}")


async def refund_all(race: Race, sold: Sequence[str]) -> None:
    """A part of each order, by one connection after the other."""
    line = race.line(0)
    for name in sold:
        body = {"external_order_id": name, "external_refund_id": ids.new("ext"), "amount_minor": 1_001}
        answer = await race.post(line, "/v1/refunds", body)
        race.refunded += answer.status == 201
        if answer.status != 201:
            race.faults.append(f"a refund: {answer.status} {answer.body[:200]!r}")
    line.close()


async def release_all(race: Race) -> None:
    """As the worker does: whoever is busy is left for the next turn."""
    race.desk.pass_days(1.5)
    while not race.released:
        race.released += bool(await race.desk.release())
        await asyncio.sleep(0.01)


async def judge(race: Race) -> Counter[str]:
    desk, won = race.desk, defaultdict[str, set[str]](set)
    for each in race.tries:
        if each.made:
            won[each.member_id].add(each.made)
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        stored = (
            await session.execute(select(Withdrawal.member_id, func.count()).group_by(Withdrawal.member_id))
        ).all()
    race.faults += await checks.faults(desk.resources, desk.merchant_id)
    return Counter({
        "requests": len(race.tries),
        "crossed": crossed(race.tries),
        "withdrawals made": sum(map(len, won.values())),
        "members who have one": sum(count == 1 for _, count in stored),
        "refunds meanwhile": race.refunded,
        "releases meanwhile": race.released,
        "told to come again": race.unserved,
    })  # fmt: skip


def crossed(tries: Sequence[Try]) -> int:
    """Requests that were under way while the one that won was."""
    winners = {each.member_id: each for each in tries if each.made}
    return sum(
        not each.made and each.began < winners[each.member_id].ended and each.ended > winners[each.member_id].began
        for each in tries
        if each.member_id in winners
    )
