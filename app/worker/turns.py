"""What is carried to payment providers, turn by turn: a client for all of them, and a fault that stays with its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

import httpx

from app.kit import logging, outward
from app.models import PaymentProvider
from app.orders.claims import Claim
from app.orders.providers import opening
from app.orders.providers.protocol import Payback, Provider, RefundState
from app.resources import Resources
from app.worker.loop import FAILURES

log = logging.get(__name__)
AT_ONCE = 20
# Longer than all calls of one turn, so that a claim runs out only where its worker died.
CLAIM_SECONDS = 60
CALL_SECONDS = CLAIM_SECONDS / 2


class Turn(Protocol):
    """`row`: the credentials, None for the sandbox."""

    @property
    def claim(self) -> Claim: ...
    @property
    def kind(self) -> str: ...
    @property
    def row(self) -> PaymentProvider | None: ...
    @property
    def now(self) -> datetime: ...


async def take(task: str, claims: Sequence[Claim], work: Callable[[httpx.AsyncClient, Claim], Awaitable[None]]) -> None:
    """All of them at once. One's fault is logged and counted, and keeps no other from its turn; its claim runs out."""

    async def one(client: httpx.AsyncClient, claim: Claim) -> None:
        try:
            await work(client, claim)
        except Exception:  # whatever it is, the next one's money does not hang on it
            FAILURES.labels(task).inc()
            log.exception("turn_failed", task=task, row_id=claim.row_id)

    if claims:
        async with outward.new_client(opening.TIMEOUT) as client, asyncio.TaskGroup() as group:
            for claim in claims:
                group.create_task(one(client, claim))


def provider_of(resources: Resources, client: httpx.AsyncClient, turn: Turn) -> Provider:
    own = turn.claim.merchant_id
    return opening.open_provider(
        turn.kind,
        merchant_id=own,
        row=turn.row,
        client=client,
        open_session=lambda: resources.db.tenant(own),
        now=turn.now,
    )


async def pay_back(resources: Resources, client: httpx.AsyncClient, turn: Turn, payback: Payback) -> RefundState:
    """No answer, nonsense, or credentials that are there no more are `unknown`: asked again."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await provider_of(resources, client, turn).refund(payback)
    except Exception:
        log.exception("payback_unknown", row_id=turn.claim.row_id)
        return "unknown"
