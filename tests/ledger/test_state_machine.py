from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from app.commissions.service import release_due
from app.kit import clock, ids
from app.kit.errors import Unprocessable
from app.ledger.verify import verify
from app.orders import service
from app.orders.fulfilment import fulfil
from app.orders.queries import by_external_id
from app.orders.refunds import refund_by_external_ids
from app.orders.rules import NewLine, NewOrder, NewRefund
from app.resources import Resources
from tests.factories import make_merchant
from tests.factories.campaigns import TWO_LEVELS
from tests.factories.money import pay_out
from tests.factories.shops import Shop, open_shop

T = TypeVar("T")
amounts = st.integers(1, 20_000)


class Books(RuleBasedStateMachine):
    """Sales, refunds before and after them, releases and payouts in any order; after each step the books are clean."""

    orders: Bundle[str] = Bundle("orders")

    resources: Resources
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """On the loop that the connections belong to, which is another thread's."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=30)

    @initialize(hold_from=st.sampled_from(["payment", "fulfilment"]))
    def open(self, hold_from: str) -> None:
        commission = TWO_LEVELS.model_copy(update={"hold_from": hold_from})
        merchant = self.run(make_merchant(self.resources))
        self.shop: Shop = self.run(open_shop(self.resources, merchant, commission=commission))
        self.now: datetime = clock.utcnow()

    @rule(target=orders, lines=st.lists(amounts, min_size=1, max_size=3), early=st.lists(amounts, max_size=2))
    def sell(self, lines: list[int], early: list[int]) -> Any:
        name = ids.new("ext")
        for amount in early:
            self.run(self._refund(name, amount))
        self.run(self._sell(name, lines))
        return multiple(name)

    async def _sell(self, name: str, lines: list[int]) -> None:
        order = NewOrder(
            campaign_id=self.shop.campaign.id,
            participant_id=self.shop.buyer.id,
            external_order_id=name,
            amount_minor=sum(lines),
            currency="CNY",
            paid_at=self.now,
            lines=tuple(NewLine(str(number), amount) for number, amount in enumerate(lines)),
        )
        async with self.resources.db.tenant(self.shop.merchant_id) as session:
            await service.create(session, merchant_id=self.shop.merchant_id, order=order, now=self.now)

    @rule(order=orders, amount=amounts)
    def refund(self, order: str, amount: int) -> None:
        self.run(self._refund(order, amount))

    @rule(order=orders)
    def refund_the_rest(self, order: str) -> None:
        left = self.run(self._left(order))
        if left:
            self.run(self._refund(order, left))

    async def _left(self, order: str) -> int:
        async with self.resources.db.tenant(self.shop.merchant_id) as session:
            found = await by_external_id(session, merchant_id=self.shop.merchant_id, external_order_id=order)
            return found.amount_minor - found.refunded_minor if found else 0

    async def _refund(self, order: str, amount: int) -> None:
        refund = NewRefund(ids.new("ext"), amount)
        try:
            async with self.resources.db.tenant(self.shop.merchant_id) as session:
                await refund_by_external_ids(
                    session, merchant_id=self.shop.merchant_id, external_order_id=order, refund=refund, now=self.now
                )
        except Unprocessable as refused:
            assert refused.code == "refund_exceeds_paid"  # noqa: PT017  # in a state machine there is no pytest.raises

    @rule(order=orders)
    def fulfil(self, order: str) -> None:
        self.run(self._fulfil(order))

    async def _fulfil(self, order: str) -> None:
        async with self.resources.db.tenant(self.shop.merchant_id) as session:
            own = self.shop.merchant_id
            found = await by_external_id(session, merchant_id=own, external_order_id=order)
            if found and found.status != "refunded":
                await fulfil(session, merchant_id=own, order_id=found.id, fulfilled_at=None, now=self.now)

    @rule(days=st.integers(1, 8))
    def release(self, days: int) -> None:
        self.now += timedelta(days=days)
        self.run(self._release())

    async def _release(self) -> None:
        async with self.resources.db.tenant(self.shop.merchant_id) as session:
            await release_due(session, merchant_id=self.shop.merchant_id, now=self.now)

    @rule(level=st.sampled_from([1, 2]))
    def pay(self, level: int) -> None:
        member = self.shop.first if level == 1 else self.shop.second
        self.run(pay_out(self.resources, self.shop.merchant_id, member.member_id))

    @invariant()
    def books_are_clean(self) -> None:
        self.run(self._check())

    async def _check(self) -> None:
        async with self.resources.db.tenant(self.shop.merchant_id) as session:
            report = await verify(session, merchant_id=self.shop.merchant_id)
        assert report.differences == []


async def test_the_books_stay_clean_whatever_happens(resources: Resources) -> None:
    here = {"resources": resources, "loop": asyncio.get_running_loop()}
    machine: type[Books] = type("BooksHere", (Books,), here)
    few = settings(max_examples=10, stateful_step_count=16, deadline=None, suppress_health_check=list(HealthCheck))
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=few)
