from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Payout, PayoutBatch
from app.payouts import exports, queries, service, terms
from app.payouts.payout_file import Format
from app.payouts.planning import Choice
from app.payouts.rules import Terms
from tests.factories import MerchantFixture
from tests.factories.payables import NOW, make_user


@dataclass(frozen=True, slots=True)
class Office:
    """The merchant's people, and what they do with batches in one transaction of the test tenant."""

    session: AsyncSession
    merchant_id: str
    maker: str
    checker: str

    async def build(self, campaign_id: str | None = None, requested_before: datetime | None = None) -> PayoutBatch:
        built = await service.build(
            self.session,
            merchant_id=self.merchant_id,
            actor_id=self.maker,
            now=NOW,
            choice=Choice(campaign_id, requested_before=requested_before),
        )
        return built.batch

    async def agree(self, agreed: Terms) -> None:
        await terms.change(self.session, merchant_id=self.merchant_id, actor_id=self.checker, terms=agreed, now=NOW)

    async def approve(self, batch: PayoutBatch, by: str = "") -> PayoutBatch:
        return await service.approve(
            self.session, merchant_id=self.merchant_id, batch_id=batch.id, actor_id=by or self.checker, now=NOW
        )

    async def export(self, batch: PayoutBatch, format_: Format = "csv") -> exports.Exported:
        return await exports.export(
            self.session,
            merchant_id=self.merchant_id,
            batch_id=batch.id,
            format_=format_,
            actor_id=self.checker,
            now=NOW,
        )

    async def cancel(self, batch: PayoutBatch) -> PayoutBatch:
        return await service.cancel(
            self.session, merchant_id=self.merchant_id, batch_id=batch.id, actor_id=self.maker, now=NOW
        )

    async def payouts(self, batch: PayoutBatch) -> Sequence[Payout]:
        return await queries.payouts_of_batch(self.session, merchant_id=self.merchant_id, batch_id=batch.id)

    async def exported(self) -> PayoutBatch:
        """A batch of all that can be paid, in the hands of its channel."""
        batch = await self.build()
        await self.approve(batch)
        await self.export(batch)
        return batch


@pytest.fixture
async def office(tenant: AsyncSession, merchant: MerchantFixture) -> Office:
    maker = await make_user(tenant, merchant.test_id, "operator", "小李")
    checker = await make_user(tenant, merchant.test_id, "finance", "王会计")
    return Office(tenant, merchant.test_id, maker, checker)
