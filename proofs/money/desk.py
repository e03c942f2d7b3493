"""A test tenant's money, moved through the use cases, each in a transaction of its own, by the caller's clock."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from app.commissions.service import reject, release_due
from app.kit import clock, ids
from app.kit.errors import not_found
from app.ledger import funds
from app.models import Commission, Merchant, Order, OrderLine, Participant, Payout, PayoutBatch, Withdrawal
from app.orders import fulfilment, refunds, service
from app.orders.rules import NewLine, NewOrder, NewRefund
from app.payouts import exports, result_file, results, terms, withdrawals
from app.payouts import service as batches
from app.payouts.queries import LIVE
from app.payouts.rules import Terms
from app.resources import Resources
from tests.factories import make_merchant, make_participant
from tests.factories.payables import make_payee, make_user
from tests.factories.shops import Shop, open_shop

HEADER = ("payout_id", "status", "external_id", "reason", "paid_at")


@dataclass(slots=True)
class Desk:
    """Raises what the use cases raise. `key`: of the tenant's API; `now`: what the use cases are told the time is."""

    resources: Resources
    shop: Shop
    maker: str
    checker: str
    key: str
    now: datetime = field(default_factory=clock.utcnow)

    @property
    def merchant_id(self) -> str:
        return self.shop.merchant_id

    @property
    def earners(self) -> Sequence[Participant]:
        """Level 1, then level 2."""
        return self.shop.first, self.shop.second

    def pass_days(self, days: float) -> None:
        self.now += timedelta(days=days)

    @property
    def _own(self) -> dict[str, Any]:
        return {"merchant_id": self.merchant_id, "now": self.now}

    async def sell(
        self, name: str, lines: Mapping[str, int], *, paid_at: datetime | None = None, buyer: Participant | None = None
    ) -> Order:
        order = NewOrder(
            campaign_id=self.shop.campaign.id,
            participant_id=(buyer or self.shop.buyer).id,
            external_order_id=name,
            amount_minor=sum(lines.values()),
            currency="CNY",
            paid_at=paid_at or self.now,
            lines=tuple(NewLine(line, amount) for line, amount in lines.items()),
        )
        async with self.resources.db.tenant(self.merchant_id) as session:
            made, _ = await service.create(session, **self._own, order=order)
        return made.order

    async def refund(self, name: str, refund: str, amount: int, lines: Mapping[str, int] | None = None) -> str:
        """By external ids; the refund's status."""
        wanted = NewRefund(refund, amount, lines=tuple(NewLine(*line) for line in (lines or {}).items()))
        async with self.resources.db.tenant(self.merchant_id) as session:
            found, _ = await refunds.refund_by_external_ids(session, **self._own, external_order_id=name, refund=wanted)
            return found.status

    async def fulfil(self, name: str, *, at: datetime | None = None) -> Order:
        order = await self.order(name)
        if order is None:
            raise not_found("order")
        async with self.resources.db.tenant(self.merchant_id) as session:
            return (await fulfilment.fulfil(session, **self._own, order_id=order.id, fulfilled_at=at)).order

    async def commissions(self, name: str, line: str, level: int) -> Sequence[Commission]:
        """The one that was earned, and what takes it back."""
        wanted = (
            select(Commission)
            .join(Order, Order.id == Commission.order_id)
            .join(OrderLine, OrderLine.id == Commission.line_id)
            .where(Order.external_order_id == name, OrderLine.external_line_id == line, Commission.level == level)
        )
        async with self.resources.db.tenant(self.merchant_id) as session:
            return (await session.scalars(wanted.order_by(Commission.id))).all()

    async def reject(self, name: str, line: str, level: int) -> Commission:
        found = [row.id for row in await self.commissions(name, line, level) if row.reverses_id is None]
        if not found:
            raise not_found("commission")
        async with self.resources.db.tenant(self.merchant_id) as session:
            return await reject(session, **self._own, commission_id=found[0], reason="looks odd", actor=self.maker)

    async def agree(self, agreed: Terms) -> None:
        async with self.resources.db.tenant(self.merchant_id) as session:
            await terms.change(session, **self._own, actor_id=self.checker, terms=agreed)

    async def pay_ahead(self) -> None:
        """Batches must be covered from now on."""
        async with self.resources.db.system() as session:
            await session.execute(update(Merchant).where(Merchant.id == self.merchant_id).values(funding="prepaid"))

    async def release(self) -> int:
        async with self.resources.db.tenant(self.merchant_id) as session:
            return await release_due(session, **self._own)

    async def withdraw(self, member_id: str) -> Withdrawal:
        async with self.resources.db.tenant(self.merchant_id) as session:
            return await withdrawals.request(session, **self._own, member_id=member_id)

    async def cancel_withdrawal(self, withdrawal_id: str) -> Withdrawal:
        async with self.resources.db.tenant(self.merchant_id) as session:
            return await withdrawals.cancel(session, **self._own, withdrawal_id=withdrawal_id)

    async def build(self) -> PayoutBatch:
        async with self.resources.db.tenant(self.merchant_id) as session:
            return (await batches.build(session, **self._own, actor_id=self.maker)).batch

    async def approve(self, batch_id: str) -> PayoutBatch:
        async with self.resources.db.tenant(self.merchant_id) as session:
            return await batches.approve(session, **self._own, batch_id=batch_id, actor_id=self.checker)

    async def cancel_batch(self, batch_id: str) -> PayoutBatch:
        async with self.resources.db.tenant(self.merchant_id) as session:
            return await batches.cancel(session, **self._own, batch_id=batch_id, actor_id=self.checker)

    async def export(self, batch_id: str) -> bytes:
        async with self.resources.db.tenant(self.merchant_id) as session:
            found = await exports.export(session, **self._own, batch_id=batch_id, format_="csv", actor_id=self.checker)
            return found.content

    async def report(self, batch_id: str, outcomes: Mapping[str, str]) -> results.Imported:
        """A result file: `paid` or `failed` by payout."""
        rows = [(payout, status, f"ext-{payout}", "", "") for payout, status in outcomes.items()]
        written = io.StringIO()
        csv.writer(written).writerows([HEADER, *rows])
        file = result_file.parse(written.getvalue().encode())
        async with self.resources.db.tenant(self.merchant_id) as session:
            return await results.import_results(
                session, **self._own, batch_id=batch_id, file=file, actor_id=self.checker
            )

    async def top_up(self, reference: str, amount: int) -> bool:
        async with self.resources.db.tenant(self.merchant_id) as session:
            return await funds.received(
                session,
                merchant_id=self.merchant_id,
                source="top_up",
                reference=reference,
                amount_minor=amount,
                currency="CNY",
                occurred_at=self.now,
            )

    async def payouts(self, batch_id: str) -> Sequence[Payout]:
        async with self.resources.db.tenant(self.merchant_id) as session:
            wanted = select(Payout).where(Payout.batch_id == batch_id, LIVE).order_by(Payout.id)
            return (await session.scalars(wanted)).all()

    async def order(self, name: str) -> Order | None:
        async with self.resources.db.tenant(self.merchant_id) as session:
            return (await session.scalars(select(Order).where(Order.external_order_id == name))).one_or_none()


async def add_promoter(desk: Desk) -> tuple[Participant, Participant]:
    """Another friend of the level 2, who can be paid, and a friend of that one, who buys."""
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        promoter = await make_participant(session, desk.shop.campaign, inviter=desk.shop.second)
        buyer = await make_participant(session, desk.shop.campaign, inviter=promoter)
        await make_payee(session, desk.merchant_id, promoter.member_id, account=_account(promoter))
    return promoter, buyer


def _account(earner: Participant) -> str:
    return f"62220212{ids.decode('mbr', earner.member_id).int % 10**10:010d}"


async def open_desk(resources: Resources, **campaign: Any) -> Desk:
    """Two levels above a buyer, of 30 and 10 %; those who earn can be paid."""
    merchant = await make_merchant(resources)
    shop, key = await open_shop(resources, merchant, **campaign), merchant.test_key
    async with resources.db.tenant(shop.merchant_id) as session:
        maker = await make_user(session, shop.merchant_id, "operator")
        checker = await make_user(session, shop.merchant_id)
        for earner in (shop.first, shop.second):
            await make_payee(session, shop.merchant_id, earner.member_id, account=_account(earner))
    return Desk(resources, shop, maker, checker, key)
