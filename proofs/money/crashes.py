"""A working day at the till, carried through although a process dies at one of its steps, and where it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter as Times
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from app.kit import clock, ids
from app.payouts import sending
from proofs.frame import forks
from proofs.frame.lines import BROKEN, Line
from proofs.frame.stage import Stage
from proofs.money import checks
from proofs.money.desk import Desk, open_desk
from proofs.sabotage import money_failpoints
from tests.factories.payables import make_payee
from tests.factories.rails import Counter

PATIENCE, FIRE_PATIENCE = 30.0, 15.0
TRIES = 20
_END = text("""
    SELECT a.kind, a.member_id IS NULL, sum(e.amount_minor)::bigint, '' FROM ledger_accounts a
    JOIN ledger_entries e ON e.merchant_id = a.merchant_id AND e.account_id = a.id
    WHERE a.merchant_id = :m AND a.order_id IS NULL GROUP BY 1, 2
    UNION ALL SELECT 'order ' || status, false, refunded_minor, '' FROM orders WHERE merchant_id = :m
    UNION ALL SELECT 'refund ' || status, false, amount_minor, '' FROM refunds WHERE merchant_id = :m
    UNION ALL SELECT 'withdrawal ' || status, false, amount_minor, '' FROM withdrawals WHERE merchant_id = :m
    UNION ALL SELECT 'payout ' || status, false, amount_minor, '' FROM payouts WHERE merchant_id = :m
    UNION ALL SELECT 'batch ' || status, false, total_minor, '' FROM payout_batches WHERE merchant_id = :m
    UNION ALL SELECT 'transfer ' || status, false, amount_minor, asked_again::text FROM sandbox_transfers
              WHERE merchant_id = :m
    UNION ALL SELECT 'event ' || type, false, count(*), '' FROM outbox_events WHERE merchant_id = :m GROUP BY type
    ORDER BY 1, 2, 3, 4
""")
_WAITING = {
    "held": text("SELECT count(*) FROM commissions WHERE merchant_id = :m AND status = 'held'"),
    "unpaid": text("SELECT count(*) FROM payouts WHERE merchant_id = :m AND status <> 'paid'"),
}
End = list[tuple[Any, ...]]


@dataclass(slots=True)
class Client:
    """Sends the same again, to the next server, until it is told what became of it."""

    addresses: Sequence[str]
    key: str
    asked: int = 0

    async def post(self, path: str, body: Any, kind: str = "application/json") -> Any:
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": ids.new("key"), "Content-Type": kind}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        for number in range(TRIES):
            line = Line(self.addresses[number % len(self.addresses)], patience=PATIENCE)
            self.asked += 1
            with contextlib.suppress(*BROKEN), contextlib.closing(line):
                answer = await line.post(path, headers, content)
                if answer.status < 300:
                    return answer.body if "csv" in answer.headers.get("content-type", "") else answer.json()
                if answer.status not in {409, 500, 502, 503}:
                    raise RuntimeError(f"{path} answered {answer.status}: {answer.body[:300]!r}")
            await asyncio.sleep(0.05)
        raise TimeoutError(f"{path} was never answered")


async def at_api(stage: Stage, steady: forks.Fork, name: str) -> tuple[bool, End, list[str], int]:
    """Through two servers, one of them sabotaged: whether it struck, the end, what does not add up, requests."""
    desk = await _open(stage)
    with ExitStack() as running:
        sabotaged = running.enter_context(forks.api(stage, *([name] if name else [])))
        client = Client([sabotaged.base_url, steady.base_url], desk.key)
        await _day(desk, client)
    return sabotaged.has_fired, await _end(desk), await checks.faults(stage.resources, desk.merchant_id), client.asked


async def _day(desk: Desk, client: Client) -> None:
    order = {
        "campaign_id": desk.shop.campaign.id,
        "participant_id": desk.shop.buyer.id,
        "external_order_id": "order",
        "amount_minor": 5_900,
        "currency": "CNY",
        "paid_at": (desk.now - timedelta(days=8)).isoformat(),
    }
    await client.post("/v1/orders", order)
    await client.post(
        "/v1/refunds", {"external_order_id": "order", "external_refund_id": "refund", "amount_minor": 1_001}
    )
    await client.post("/v1/withdrawals", {"member_id": desk.shop.first.member_id})
    batch = (await client.post("/v1/payout-batches", {"user_id": desk.maker}))["id"]
    path = f"/v1/payout-batches/{batch}"
    await client.post(f"{path}/approve", {"user_id": desk.checker})
    first = await client.post(f"{path}/export", {"user_id": desk.checker})
    assert await client.post(f"{path}/export", {"user_id": desk.checker}) == first
    rows = "".join(f"{each.id},paid,x{number}\n" for number, each in enumerate(await desk.payouts(batch)))
    await client.post(f"{path}/results", f"payout_id,status,external_id\n{rows}".encode(), "text/csv")


async def at_worker(stage: Stage, name: str) -> tuple[bool, End, list[str], int]:
    """Holds end and a batch is sent while the sabotaged worker runs; then another one takes over."""
    desk = await _open(stage)
    counter = Counter(stage.resources, desk.merchant_id, desk.maker, desk.checker)
    for number in range(3):
        # Due in this moment, by whoever looks.
        await desk.sell(f"order{number}", {"1": 5_900}, paid_at=desk.now - timedelta(days=7) + timedelta(seconds=0.5))
    fired = False
    with forks.worker(stage, *([name] if name else [])) as sabotaged:
        await _until_none(desk, "held", sabotaged)
        if sabotaged.process.is_alive():
            await _send(desk)
            await _until_none(desk, "unpaid", sabotaged, counter)
        fired = sabotaged.has_fired
    if fired:
        with forks.worker(stage) as heir:
            await counter.lapse()
            await _until_none(desk, "held", heir)
            if not await _has_batch(desk):
                await _send(desk)
            await _until_none(desk, "unpaid", heir, counter)
    return fired, await _end(desk), await checks.faults(stage.resources, desk.merchant_id), 3


async def _open(stage: Stage) -> Desk:
    desk = await open_desk(stage.resources, starts_at=clock.utcnow() - timedelta(days=30))
    async with stage.resources.db.tenant(desk.merchant_id) as session:
        for number, earner in enumerate(desk.earners):
            account = {"kind": "wechat", "account": f"oUpF8uMuAJO_{number:06d}"}
            await make_payee(session, desk.merchant_id, earner.member_id, **account)
    return desk


async def _send(desk: Desk) -> None:
    desk.now = clock.utcnow()
    await desk.withdraw(desk.shop.first.member_id)
    batch = await desk.build()
    await desk.approve(batch.id)
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        own: dict[str, Any] = {"merchant_id": desk.merchant_id, "now": desk.now}
        await sending.send(session, **own, batch_id=batch.id, livemode=False, actor_id=desk.checker)


async def _until_none(desk: Desk, what: str, worker: forks.Fork, counter: Counter | None = None) -> None:
    """Or until the worker has died. The tenant's clock moves on, so that waiting times need not be waited for."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRE_PATIENCE):
            while worker.process.is_alive() and await _count(desk, _WAITING[what]):
                await asyncio.sleep(0.1)
                if counter is not None:
                    await counter.pass_time(10)


async def _count(desk: Desk, statement: Any) -> int:
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        return int(await session.scalar(statement, {"m": ids.decode("mch", desk.merchant_id)}))


async def _has_batch(desk: Desk) -> bool:
    return bool(await _count(desk, text("SELECT count(*) FROM payout_batches WHERE merchant_id = :m")))


async def _end(desk: Desk) -> End:
    async with desk.resources.db.system() as session:
        return [tuple(row) for row in await session.execute(_END, {"m": ids.decode("mch", desk.merchant_id)})]


async def run(stage: Stage, steady: forks.Fork, name: str, usual: dict[str, End]) -> tuple[bool, list[str], int]:
    """Whether the failpoint was reached, how its end differs from the usual one, and the requests."""
    program = "worker" if name in money_failpoints.WORKER else "api"
    if program not in usual:
        _, usual[program], faults, _ = await _once(stage, steady, program, "")
        assert not faults, faults
    fired, end, faults, asked = await _once(stage, steady, program, name)
    # With their numbers: a transfer that was made twice looks like the first.
    wanted, there = Times(usual[program]), Times(end)
    faults += [f"not there: {row}" for row in (wanted - there).elements()]
    faults += [f"too much: {row}" for row in (there - wanted).elements()]
    return fired, faults, asked


async def _once(stage: Stage, steady: forks.Fork, program: str, name: str) -> tuple[bool, End, list[str], int]:
    return await (at_api(stage, steady, name) if program == "api" else at_worker(stage, name))
