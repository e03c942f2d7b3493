"""Refunds of what was paid on our own page are carried to the provider that took the payment."""

from __future__ import annotations

import asyncio

import httpx

from app.kit import clock, logging, outward
from app.merchants import purchases
from app.orders import paying_back
from app.orders.paying_back import Claim, Turn
from app.orders.providers import opening
from app.orders.providers.protocol import RefundState
from app.resources import Resources
from app.worker.loop import FAILURES

log = logging.get(__name__)
AT_ONCE = 20
# Longer than the call of one turn, so that a claim runs out only where its worker died.
CLAIM_SECONDS = 60


async def pay_back(resources: Resources) -> int:
    async with resources.db.system() as session:
        claims = await paying_back.claim(session, limit=AT_ONCE, seconds=CLAIM_SECONDS)
    if claims:
        async with outward.new_client(opening.TIMEOUT) as client, asyncio.TaskGroup() as group:
            for claim in claims:
                group.create_task(_follow(resources, client, claim))
    return len(claims)


async def _follow(resources: Resources, client: httpx.AsyncClient, claim: Claim) -> None:
    """One refund's fault is logged and counted, and keeps no other from its turn; its claim runs out."""
    try:
        async with resources.db.tenant(claim.merchant_id) as session:
            turn = await paying_back.prepare(session, claim)
        if turn.is_house:
            # What the house sells is other merchants'. Before the money, which is asked for until it is there.
            async with resources.db.system() as session:
                own = {"merchant_id": claim.merchant_id, "order_id": turn.order_id}
                await purchases.take_back(session, **own, now=clock.utcnow())
        state = await _ask(resources, client, turn)
        async with resources.db.tenant(claim.merchant_id) as session:
            await paying_back.record(session, turn, state)
    except Exception:  # whatever it is, the next one's money does not hang on it
        FAILURES.labels("pay_back").inc()
        log.exception("payback_turn_failed", refund_id=claim.row_id)


async def _ask(resources: Resources, client: httpx.AsyncClient, turn: Turn) -> RefundState:
    own = turn.claim.merchant_id
    try:
        async with asyncio.timeout(CLAIM_SECONDS / 2):
            provider = opening.open_provider(
                turn.kind,
                merchant_id=own,
                row=turn.row,
                client=client,
                open_session=lambda: resources.db.tenant(own),
                now=turn.now,
            )
            return await provider.refund(turn.payback)
    except Exception:  # no answer, nonsense, or credentials that are there no more: asked again
        log.exception("payback_unknown", refund_id=turn.claim.row_id)
        return "unknown"
