"""The provider of test tenants: moves no money, keeps its own books, and behaves as badly as it is told to.

As real ones do it takes a key for the same transfer each time. Its books are written in transactions of its own: what
it has carried out stays so, whatever becomes of the caller.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import SandboxTransfer
from app.payouts.rails.credentials import SandboxSettings
from app.payouts.rails.protocol import Answer, State, Transfer

ALL_BPS = 10_000
CONFIRM_WITHIN = timedelta(hours=24)
OpenSession = Callable[[], AbstractAsyncContextManager[AsyncSession]]
_STATES: dict[str, State] = {
    "processing": "processing",
    "awaiting": "awaiting_payee",
    "paid": "paid",
    "rejected": "failed",
    "closed": "failed",
}
_REASONS = {"rejected": "NAME_NOT_MATCH", "closed": "CLOSED: the payee did not confirm"}


@dataclass(frozen=True, slots=True)
class SandboxRail:
    """`now` is the tenant's clock: payees confirm, and transfers close, as a test clock is advanced."""

    merchant_id: str
    settings: SandboxSettings
    open_session: OpenSession
    now: datetime
    dice: random.Random

    async def send(self, transfer: Transfer) -> Answer:
        if self._falls(self.settings.loses_bps):
            raise httpx.ReadTimeout("the request got lost")
        async with self.open_session() as session:
            row = await self._carry_out(session, transfer)
            answer = self._answer(row)
        self._may_time_out()
        return answer

    async def query(self, key: str) -> Answer:
        async with self.open_session() as session:
            row = await self._get(session, key)
            answer = Answer("not_found") if row is None else self._answer(row)
        if self._falls(self.settings.loses_answers_bps):
            raise httpx.ReadTimeout("the answer got lost")
        return answer

    async def cancel(self, key: str) -> Answer:
        async with self.open_session() as session:
            row = await self._get(session, key)
            if row is not None and row.status == "awaiting":
                row.status = "closed"
        self._may_time_out()
        return Answer("not_found") if row is None else self._answer(row)

    async def _carry_out(self, session: AsyncSession, transfer: Transfer) -> SandboxTransfer:
        row = await self._get(session, transfer.key)
        if row is not None:
            row.asked_again += 1
            return row
        await session.execute(insert(SandboxTransfer).values(self._first(transfer)).on_conflict_do_nothing())
        return await session.get_one(SandboxTransfer, (self.merchant_id, transfer.key))

    def _first(self, transfer: Transfer) -> dict[str, object]:
        status, settles_at, settings = "paid", None, self.settings
        if self._falls(settings.rejects_bps):
            status = "rejected"
        elif self._falls(settings.asks_payee_bps):
            status = "awaiting"
            confirms = settings.confirms_after_seconds
            settles_at = None if confirms is None else self.now + timedelta(seconds=confirms)
        elif self._falls(settings.delays_bps):
            status, settles_at = "processing", self.now + timedelta(seconds=settings.delay_seconds)
        return {
            "merchant_id": self.merchant_id,
            "key": transfer.key,
            "amount_minor": transfer.amount_minor,
            "currency": transfer.currency,
            "status": status,
            "settles_at": settles_at,
            "created_at": self.now,
        }

    async def _get(self, session: AsyncSession, key: str) -> SandboxTransfer | None:
        row = await session.get(SandboxTransfer, (self.merchant_id, key), with_for_update=True)
        if row is not None and row.status in {"processing", "awaiting"}:
            if row.settles_at is not None and row.settles_at <= self.now:
                row.status = "paid"
            elif row.status == "awaiting" and row.created_at + CONFIRM_WITHIN <= self.now:
                row.status = "closed"
        return row

    def _answer(self, row: SandboxTransfer) -> Answer:
        return Answer(
            _STATES[row.status],
            external_id=f"SANDBOX{row.key[3:].upper()}",
            reason=_REASONS.get(row.status),
            amount_minor=row.amount_minor,
            paid_at=(row.settles_at or row.created_at) if row.status == "paid" else None,
            package_info=f"sandbox:{row.key}" if row.status == "awaiting" else None,
        )

    def _may_time_out(self) -> None:
        if self._falls(self.settings.times_out_bps):
            raise httpx.ReadTimeout("carried out, and then silent")

    def _falls(self, share_bps: int) -> bool:
        return self.dice.randrange(ALL_BPS) < share_bps
