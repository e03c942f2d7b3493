"""The cashier that is built in: moves no money, keeps its own books, and notifies as a real one does.

What it has taken stays taken, whatever becomes of the caller. It settles late where it was asked to: until then it says
no more than that somebody is at it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import SandboxPayment
from app.orders.providers.protocol import Notice, Payback, Payment, RefundState, Start, State, Way, checkout_of

OpenSession = Callable[[], AbstractAsyncContextManager[AsyncSession]]
_STATES: dict[str, State] = {
    "waiting": "waiting",
    "paid": "paid",
    "failed": "failed",
    "closed": "closed",
    "refunded": "closed",
}


@dataclass(frozen=True, slots=True)
class SandboxCashier:
    """`now` is the tenant's clock."""

    merchant_id: str
    open_session: OpenSession
    now: datetime

    async def start(self, payment: Payment, way: Way) -> Start:
        row = {
            "merchant_id": self.merchant_id,
            "key": payment.key,
            "amount_minor": payment.amount_minor,
            "currency": payment.currency,
            "status": "waiting",
            "created_at": self.now,
        }
        async with self.open_session() as session:
            await session.execute(insert(SandboxPayment).values(row).on_conflict_do_nothing())
        return Start(way, url=f"/h5/pay/{checkout_of(payment.key)}/cashier")

    async def query(self, key: str) -> Notice:
        async with self.open_session() as session:
            row = await session.get(SandboxPayment, (self.merchant_id, key))
            if row is None:
                return Notice("sandbox", self.merchant_id, key, "not_found")
            return notice_of(row, now=self.now)

    async def close(self, key: str) -> None:
        async with self.open_session() as session:
            row = await hold(session, merchant_id=self.merchant_id, key=key)
            if row is not None and row.status == "waiting":
                row.status = "closed"

    async def refund(self, payback: Payback) -> RefundState:
        async with self.open_session() as session:
            row = await hold(session, merchant_id=self.merchant_id, key=payback.key)
            if row is None or row.status not in {"paid", "refunded"}:
                return "refused"
            wanted = {**row.refunds, payback.refund_key: payback.amount_minor}
            is_another = row.refunds.get(payback.refund_key, payback.amount_minor) != payback.amount_minor
            if is_another or (row.amount_minor, row.currency) != (payback.total_minor, payback.currency):
                return "refused"
            if sum(wanted.values()) > row.amount_minor:
                return "refused"
            row.refunds = wanted
            row.status = "refunded" if sum(wanted.values()) == row.amount_minor else "paid"
            return "refunded"


async def hold(session: AsyncSession, *, merchant_id: str, key: str) -> SandboxPayment | None:
    return await session.get(SandboxPayment, (merchant_id, key), with_for_update=True, populate_existing=True)


def notice_of(row: SandboxPayment, *, now: datetime) -> Notice:
    is_settled = row.settles_at is not None and row.settles_at <= now
    state = _STATES[row.status] if row.status != "paid" or is_settled else "waiting"
    return Notice(
        "sandbox",
        row.merchant_id,
        row.key,
        state,
        external_id=external_id(row.key) if state == "paid" else None,
        amount_minor=row.amount_minor,
        currency=row.currency,
        paid_at=row.settles_at if state == "paid" else None,
    )


def external_id(key: str) -> str:
    return f"SANDBOX{key[3:].upper()}"
