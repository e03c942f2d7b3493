"""Checkouts whose provider has not told what became of them: claim, ask, record. Done by the worker, over all tenants.

The calls stand between two transactions. A worker that dies in between lets its claim run out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock
from app.models import Checkout, Merchant, PaymentProvider
from app.orders import checkout as checkouts
from app.orders import checkout_rules as rules
from app.orders import claims
from app.orders.claims import Claim
from app.orders.providers import credentials
from app.orders.providers.protocol import Notice, Provider, payment_key

DUE = ("open", "expired")


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be asked. `is_over`: its time is, so that nobody may begin to pay it any more."""

    claim: Claim
    kind: str
    row: PaymentProvider | None
    is_begun: bool
    is_over: bool
    is_house: bool
    now: datetime


async def claim(session: AsyncSession, *, limit: int, seconds: int) -> list[Claim]:
    return await claims.claim(session, Checkout, Checkout.status.in_(DUE), limit=limit, seconds=seconds)


async def prepare(session: AsyncSession, claim: Claim) -> Turn | None:
    """None where the claim is not the newest one any more."""
    checkout = await checkouts.get(session, merchant_id=claim.merchant_id, checkout_id=claim.row_id)
    if checkout.attempts != claim.number or checkout.status not in DUE:
        return None
    merchant = await session.get_one(Merchant, claim.merchant_id)
    now = clock.tenant_now(merchant.clock_offset_seconds)
    return Turn(
        claim,
        kind=checkout.provider,
        row=await credentials.find(session, merchant_id=claim.merchant_id),
        is_begun=checkout.started_at is not None,
        is_over=checkout.expires_at <= now,
        is_house=merchant.is_house,
        now=now,
    )


async def ask(provider: Provider, turn: Turn) -> Notice:
    """What became of the payment; once its time is over it is closed before it is given up."""
    key = payment_key(turn.claim.row_id)
    notice = await provider.query(key)
    if turn.is_over and notice.state in {"waiting", "not_found"}:
        await provider.close(key)
        return await provider.query(key)
    return notice


async def go_on(session: AsyncSession, turn: Turn, notice: Notice | None) -> None:
    """After a look that settled nothing; `notice` is None where the provider did not answer, or was not asked."""
    checkout = await _newest(session, turn.claim)
    if checkout is None or checkout.status not in DUE:
        return
    is_answered = not turn.is_begun or (notice is not None and notice.state != "unknown")
    is_unclosed = turn.is_begun and notice is not None and notice.state == "waiting"
    end = rules.end_of_look(turn.now, is_answered=is_answered, is_unclosed=is_unclosed, expires_at=checkout.expires_at)
    if end.is_given_up and checkout.status == "open":
        await checkouts.expire(session, checkout=checkout, look_at=end.look_at)
        return
    is_open = checkout.status == "open"
    look = rules.next_look(turn.now, attempts=checkout.attempts, expires_at=checkout.expires_at)
    checkout.due_at = look if is_open else end.look_at
    checkout.leased_until = None
    await session.flush()


async def _newest(session: AsyncSession, claim: Claim) -> Checkout | None:
    checkout = await checkouts.hold(session, merchant_id=claim.merchant_id, checkout_id=claim.row_id)
    return checkout if checkout.attempts == claim.number else None
