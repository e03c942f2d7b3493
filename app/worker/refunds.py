"""Refunds of what was paid on our own page are carried to the provider that took the payment."""

from __future__ import annotations

import httpx

from app.kit import clock
from app.merchants import purchases
from app.orders import paying_back
from app.orders.claims import Claim
from app.resources import Resources
from app.worker import turns


async def pay_back(resources: Resources) -> int:
    async with resources.db.system() as session:
        claims = await paying_back.claim(session, limit=turns.AT_ONCE, seconds=turns.CLAIM_SECONDS)

    async def follow(client: httpx.AsyncClient, claim: Claim) -> None:
        await _follow(resources, client, claim)

    await turns.take("pay_back", claims, follow)
    return len(claims)


async def _follow(resources: Resources, client: httpx.AsyncClient, claim: Claim) -> None:
    async with resources.db.tenant(claim.merchant_id) as session:
        turn = await paying_back.prepare(session, claim)
    if turn is None:
        return
    if turn.is_house and turn.order_id is not None:
        # What the house sells is other merchants'. Before the money, which is asked for until it is there.
        async with resources.db.system() as session:
            own = {"merchant_id": claim.merchant_id, "order_id": turn.order_id}
            await purchases.take_back(session, **own, now=clock.utcnow())
    state = "parked" if turn.parked else await turns.pay_back(resources, client, turn, turn.payback)
    async with resources.db.tenant(claim.merchant_id) as session:
        await paying_back.record(session, turn, state)
