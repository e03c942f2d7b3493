"""The end: what the application says against what the play saw. Every difference is a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from app.cli.demo import books
from app.cli.demo.account import Node
from app.cli.demo.client import each
from app.cli.demo.stage import Stage
from app.poster import read_back

POSTERS = 6


async def differences(stage: Stage) -> list[str]:
    checks = (_house_loop, _campaign_figures, _participants, orders, books.funds, books.checkouts, _posters)
    async with asyncio.TaskGroup() as group:
        # The processes of the command line only read, too, and take their time to start.
        asked = group.create_task(_all(books.commands(stage)))
        found = [difference for check in checks for difference in await _all(check(stage))]
    return found + asked.result()


async def _all(differences: AsyncIterator[str]) -> list[str]:
    return [difference async for difference in differences]


async def _house_loop(stage: Stage) -> AsyncIterator[str]:
    """30 days for registering; 30 more for both ends of the invite."""
    for merchant in stage.merchants:
        own = await merchant.live.get("/v1/merchant")
        days = await _days(own)
        if days != 60:
            yield f"{merchant.name} has {days} membership days, expected 60"


async def _days(own: dict[str, Any]) -> int:
    from_text, to_text = own["created_at"], own["membership"]["ends_at"]
    seconds = (datetime.fromisoformat(to_text) - datetime.fromisoformat(from_text)).total_seconds()
    return round(seconds / 86_400)


async def _campaign_figures(stage: Stage) -> AsyncIterator[str]:
    account = stage.account
    stats = await stage.api.get(f"/v1/campaigns/{stage.campaign['id']}/stats")
    expected = {
        "clicks": account.clicks.total(),
        "scans": account.scans.total(),
        "bot_hits": account.bots.total(),
        "unique_visitors": sum(map(len, account.visitors.values())),
        "participants": len(account.nodes),
        "signups": sum(node.invited for node in account.nodes),
        "orders": len(account.purchases),
        "paid_minor": sum(purchase.amount_minor for purchase in account.purchases),
        "refunded_minor": sum(purchase.refunded_minor for purchase in account.purchases),
        "commission_minor": sum(map(account.commission_of, account.nodes)),
    }
    for name, value in expected.items():
        if stats[name] != value:
            yield f"campaign {name}: {stats[name]}, expected {value}"


async def _participants(stage: Stage) -> AsyncIterator[str]:
    with stage.act("逐人核对 · participants", len(stage.account.nodes)) as done:
        reports = await each(stage.account.nodes, lambda node: _participant(stage, node), done)
    for report in reports:
        for difference in report:
            yield difference


async def _participant(stage: Stage, node: Node) -> list[str]:
    account, base = stage.account, f"/v1/participants/{node.participant_id}"
    stats, balance, membership, chain = await asyncio.gather(
        stage.api.get(f"{base}/stats"),
        stage.api.get(f"{base}/balance"),
        stage.api.get(f"/v1/members/{node.member_id}/membership"),
        stage.api.get(f"{base}/chain"),
    )
    buckets = [balance[f"{name}_minor"] for name in ("pending", "held", "payable", "in_payout", "paid")]
    pairs = {
        "clicks": (stats["clicks"], account.clicks[node.invite_code]),
        "scans": (stats["scans"], account.scans[node.invite_code]),
        "unique visitors": (stats["unique_visitors"], len(account.visitors.get(node.invite_code, ()))),
        "commission": (sum(buckets), account.commission_of(node)),
        "paid out": (balance["paid_minor"], account.paid_out_minor[node.member_id]),
        "held": (balance["held_minor"], 0),
        "days": (sum(grant["seconds"] for grant in membership["grants"]) // 86_400, account.days_of(node)),
        "ancestors": (len(chain["data"]), node.depth),
    }
    return [f"{node.nickname} {what}: {got}, expected {want}" for what, (got, want) in pairs.items() if got != want]


async def orders(stage: Stage) -> AsyncIterator[str]:
    """Each order to the fen: who earned, what the platform takes, and what refunds took back of it."""
    known = {order["id"]: order for order in await stage.api.all("/v1/orders", campaign_id=stage.campaign["id"])}
    for purchase in stage.account.purchases:
        order = known.pop(purchase.order_id, None)
        if order is None:
            yield f"order {purchase.order_id} is missing"
            continue
        expected = {
            "amount_minor": purchase.amount_minor,
            "refunded_minor": purchase.refunded_minor,
            "platform_fee_minor": purchase.fee_minor,
            "platform_fee_refunded_minor": purchase.taken(purchase.fee_minor),
        }
        for name, value in expected.items():
            if order[name] != value:
                yield f"order {purchase.order_id} {name}: {order[name]}, expected {value}"
        for level, node in purchase.earners().items():
            rows = [row for row in order["commissions"] if row["level"] == level]
            if {row["beneficiary_id"] for row in rows} != {node.participant_id}:
                yield f"order {purchase.order_id}: level {level} went to somebody else"
            if sum(row["amount_minor"] for row in rows) != purchase.earned(level):
                yield f"order {purchase.order_id}: level {level} is not {purchase.earned(level)}"
    for order_id in known:
        yield f"order {order_id}: nobody bought it"


async def _posters(stage: Stage) -> AsyncIterator[str]:
    """A few posters are kept to be looked at; each QR code must lead to its owner."""
    shown = [*stage.account.nodes[:3], *stage.account.nodes[-(POSTERS - 3) :]]
    with stage.act("海报 · posters", len(shown)) as done:
        for node in shown:
            answer = await stage.http.get(f"/p/{node.invite_code}.jpg")
            path = stage.folder / f"poster-{node.invite_code}.jpg"
            await asyncio.to_thread(path.write_bytes, answer.content)
            stage.posters.append(path)
            links = await asyncio.to_thread(read_back, answer.content)
            if not any(f"/i/{node.invite_code}" in link for link in links):
                yield f"the poster of {node.nickname} reads as {links}"
            done()
