"""Batches that were sent, their worker, and a tenant's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select, text

from app.kit import clock, ids
from app.models import Merchant, Payout, PayoutBatch, SandboxTransfer
from app.payouts import reconciliation, sending, service
from app.payouts.rails import credentials
from app.payouts.rails.credentials import SandboxSettings
from app.resources import Resources
from app.worker import payouts
from tests.factories.payables import make_payable, make_user

_TURN = text("UPDATE merchants SET clock_offset_seconds = clock_offset_seconds + :seconds WHERE id = :id")
_LAPSE = text("UPDATE payouts SET leased_until = now() WHERE leased_until IS NOT NULL AND merchant_id = :id")


@dataclass(frozen=True, slots=True)
class Counter:
    """A test tenant's payouts, each look at them in a transaction of its own."""

    resources: Resources
    merchant_id: str
    maker: str
    checker: str

    async def misbehave(self, **shares: Any) -> None:
        async with self.resources.db.tenant(self.merchant_id) as session:
            settings = SandboxSettings(**shares)
            await credentials.save(
                session, merchant_id=self.merchant_id, settings=settings, actor_id=self.checker, now=clock.utcnow()
            )

    async def sent(self, *amounts: int, **payee: Any) -> PayoutBatch:
        """A batch with a payout an amount, each to a member of its own."""
        async with self.resources.db.tenant(self.merchant_id) as session:
            for number, amount in enumerate(amounts):
                account = {"kind": "wechat", "account": f"oUpF8uMuAJO_{number:06d}"} | payee
                await make_payable(session, self.merchant_id, amount, **account)
        batch = await self.approved()
        return await self.send(batch.id)

    async def approved(self) -> PayoutBatch:
        own: dict[str, Any] = {"merchant_id": self.merchant_id, "now": clock.utcnow()}
        async with self.resources.db.tenant(self.merchant_id) as session:
            batch = (await service.build(session, actor_id=self.maker, **own)).batch
            return await service.approve(session, batch_id=batch.id, actor_id=self.checker, **own)

    async def send(self, batch_id: str, *, livemode: bool = False) -> PayoutBatch:
        own: dict[str, Any] = {"merchant_id": self.merchant_id, "actor_id": self.checker, "now": clock.utcnow()}
        async with self.resources.db.tenant(self.merchant_id) as session:
            return await sending.send(session, batch_id=batch_id, livemode=livemode, **own)

    async def carry(self, turns: int = 1) -> None:
        """What the worker does, an hour of the tenant's clock apart."""
        for _ in range(turns):
            await payouts.carry_payouts(self.resources)
            await self.pass_time(3_600)

    async def pass_time(self, seconds: int) -> None:
        async with self.resources.db.system() as session:
            await session.execute(_TURN, {"seconds": seconds, "id": ids.decode("mch", self.merchant_id)})

    async def lapse(self) -> None:
        """The worker has died: its claims run out."""
        async with self.resources.db.system() as session:
            await session.execute(_LAPSE, {"id": ids.decode("mch", self.merchant_id)})

    async def payouts(self) -> Sequence[Payout]:
        async with self.resources.db.tenant(self.merchant_id) as session:
            return (await session.scalars(select(Payout).order_by(Payout.id))).all()

    async def transfers(self) -> Sequence[SandboxTransfer]:
        async with self.resources.db.tenant(self.merchant_id) as session:
            return (await session.scalars(select(SandboxTransfer).order_by(SandboxTransfer.key))).all()

    async def batch(self, batch_id: str) -> PayoutBatch:
        async with self.resources.db.tenant(self.merchant_id) as session:
            return await session.get_one(PayoutBatch, (self.merchant_id, batch_id))

    async def now(self) -> Any:
        async with self.resources.db.tenant(self.merchant_id) as session:
            merchant = await session.get_one(Merchant, self.merchant_id)
            return clock.tenant_now(merchant.clock_offset_seconds)

    async def differences(self) -> list[dict[str, Any]]:
        async with self.resources.db.tenant(self.merchant_id) as session:
            report = await reconciliation.reconcile(session, merchant_id=self.merchant_id)
            return [asdict(each) for each in report.differences]


async def open_counter(resources: Resources, merchant_id: str) -> Counter:
    async with resources.db.tenant(merchant_id) as session:
        maker, checker = await make_user(session, merchant_id, "operator"), await make_user(session, merchant_id)
    return Counter(resources, merchant_id, maker, checker)
