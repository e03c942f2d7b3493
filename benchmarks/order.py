"""Orders with their commissions: `POST /v1/orders` from 32 connections, acknowledged when they are durable.

The ceiling is as many connections to the same database, each with one row in one statement in one transaction.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import timedelta
from statistics import median

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import func, select

from app.kit import clock
from app.ledger.verify import verify
from app.models import Commission, Order
from benchmarks.load.contest import SHOWN
from benchmarks.load.fire import fire
from benchmarks.load.plan import NUMBER, Plan, Report, Shot
from benchmarks.load.servers import as_in_production, served
from proofs.frame.command import Entry
from proofs.frame.report import Figure
from proofs.frame.server import serve
from proofs.frame.stage import Stage
from tests.factories import make_campaign, make_merchant, make_participant
from tests.factories.merchants import MerchantFixture

CONNECTIONS = 32
CHAINS = 300
ROUNDS, QUICK_ROUNDS = 7, 3
SECONDS, QUICK_SECONDS = 3.0, 1.5
WARM_SECONDS = 0.4
MOST_REQUESTS = 100_000
AMOUNT_MINOR = 5_900
PATIENCE = 600


async def run(stage: Stage, quick: bool) -> Sequence[Figure]:
    merchant = await make_merchant(stage.resources)
    shots = await _shots(stage, merchant)
    orders: list[Report] = []
    rows: list[float] = []
    seconds = QUICK_SECONDS if quick else SECONDS
    with serve(as_in_production(stage)) as server:
        target = served(server)
        # The first round finds everything for the first time, and does not count.
        for number in range((QUICK_ROUNDS if quick else ROUNDS) + 1):
            plan = Plan(
                addresses=target.addresses,
                shots=shots,
                needle=b'"commissions"',
                connections=CONNECTIONS,
                warm_seconds=WARM_SECONDS,
                seconds=seconds,
                most_requests=MOST_REQUESTS,
                first_number=number * MOST_REQUESTS,
                processes={"server": target.pids, "redis": [stage.stack.pids["valkey"]]},
            )
            orders.append(await fire(plan))
            rows.append(await _one_statement(stage, seconds))
    return [*_figures(orders, rows), await _kept(stage, merchant, sum(report.sent for report in orders))]


BENCH = Entry("order", run, seconds=PATIENCE, durable=True)


async def _shots(stage: Stage, merchant: MerchantFixture) -> list[Shot]:
    """One for each chain of three: a buyer, and two who earn."""
    paid_at = (clock.utcnow() - timedelta(minutes=1)).isoformat()
    shots = []
    async with stage.resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id)
        for chain in range(CHAINS):
            second = await make_participant(session, campaign)
            first = await make_participant(session, campaign, inviter=second)
            buyer = await make_participant(session, campaign, inviter=first)
            order = {
                "campaign_id": campaign.id,
                "participant_id": buyer.id,
                "external_order_id": f"order-{chain}-{NUMBER.decode()}",
                "amount_minor": AMOUNT_MINOR,
                "currency": "CNY",
                "paid_at": paid_at,
            }
            shots.append(Shot(_request(order, merchant.test_key), 201, 1))
    return shots


def _request(order: dict[str, object], key: str) -> bytes:
    body = json.dumps(order)
    lines = [
        "POST /v1/orders HTTP/1.1",
        "Host: t.invitree.cn",
        f"Authorization: Bearer {key}",
        f"Idempotency-Key: {order['external_order_id']}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()


async def _one_statement(stage: Stage, seconds: float) -> float:
    """Transactions a second."""
    done = 0

    async def insert(connection: PoolConnectionProxy, until: float) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await connection.execute("INSERT INTO order_ceiling (amount_minor) VALUES ($1)", AMOUNT_MINOR)
            done += 1

    async with asyncpg.create_pool(stage.stack.owner_url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        table = "CREATE TABLE IF NOT EXISTS order_ceiling (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
        await pool.execute(f"{table}, amount_minor bigint NOT NULL)")
        connections = [await pool.acquire() for _ in range(CONNECTIONS)]
        began = time.perf_counter()
        await asyncio.gather(*(insert(connection, began + seconds) for connection in connections))
        taken = time.perf_counter() - began
        for connection in connections:
            await pool.release(connection)
    return done / taken


def _figures(orders: Sequence[Report], rows: Sequence[float]) -> list[Figure]:
    counted = orders[1:]
    value, ceiling = median(report.rate for report in counted), median(rows[1:])
    ratio = median(report.rate / plain for report, plain in zip(counted, rows[1:], strict=True))
    late = median(report.late_ms for report in counted)
    faults = [fault for report in orders for fault in report.faults][:5]
    server = median(report.microseconds("server") for report in counted)
    return [
        Figure(
            "order",
            value,
            "orders/s",
            ceiling,
            ratio,
            f"{SHOWN}: transactions of one statement",
            all(report.is_right for report in orders),
            [f"{CONNECTIONS} connections, 99 of 100 within {late:.0f} ms", *faults],
        ),
        Figure("order.cpu-server", server, "µs/order", 1e6 / ceiling, server * ceiling / 1e6, SHOWN, True),
    ]


async def _kept(stage: Stage, merchant: MerchantFixture, acknowledged: int) -> Figure:
    """Every acknowledged order with both its commissions, and books that add up."""
    async with stage.resources.db.tenant(merchant.test_id) as session:
        orders = await session.scalar(select(func.count()).select_from(Order)) or 0
        commissions = await session.scalar(select(func.count()).select_from(Commission)) or 0
        report = await verify(session, merchant_id=merchant.test_id)
    ok = orders == acknowledged and commissions == 2 * acknowledged and report.clean
    remarks = [f"{commissions} commissions; {len(report.differences)} differences in the books"]
    return Figure("order.kept", orders, "orders", acknowledged, orders / acknowledged, "= acknowledged", ok, remarks)
