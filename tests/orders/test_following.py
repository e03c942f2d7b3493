"""The worker: payments that nobody told of, checkouts that end, money that goes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI

from app.kit import clock
from app.models import Checkout, SandboxPayment
from app.orders import asking
from app.orders.checkout import expire_all_due
from app.orders.providers.protocol import payment_key
from app.orders.providers.sandbox import SandboxCashier
from app.resources import Resources
from app.worker import checkouts as worker
from app.worker import refunds
from tests.factories import MerchantFixture
from tests.factories.checkouts import Desk
from tests.factories.shops import open_shop


@pytest.fixture
async def desk(resources: Resources, merchant: MerchantFixture) -> Desk:
    return Desk(resources, await open_shop(resources, merchant, stock=3))


async def _follow(desk: Desk) -> None:
    """Until nothing is due; other tests' checkouts may be among it."""
    while await worker.follow_checkouts(desk.resources):
        pass


async def _at_the_cashier(desk: Desk, *, status: str, settles_in: int = 0) -> Checkout:
    checkout = await desk.open()
    await desk.begin(checkout)
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        session.add(
            SandboxPayment(
                merchant_id=desk.merchant_id,
                key=payment_key(checkout.id),
                amount_minor=5_900,
                currency="CNY",
                status=status,
                settles_at=clock.utcnow() + timedelta(seconds=settles_in),
            )
        )
    return checkout


async def test_a_payment_whose_notification_was_lost_is_found_by_asking(desk: Desk) -> None:
    checkout = await _at_the_cashier(desk, status="paid")
    await _follow(desk)
    assert (await desk.look(checkout)).status == "open"  # not yet: who pays is given a moment
    await desk.advance(11)
    await _follow(desk)
    assert ((await desk.look(checkout)).status, await desk.count("orders")) == ("paid", 1)


async def test_what_nobody_began_to_pay_ends_and_gives_its_stock_back(desk: Desk) -> None:
    checkout = await desk.open(quantity=3)
    await desk.advance(899)
    await _follow(desk)
    assert (await desk.look(checkout)).status == "open"
    await desk.advance(1)
    await _follow(desk)
    assert ((await desk.look(checkout)).status, await desk.left()) == ("expired", 3)


async def test_what_is_given_up_is_closed_with_its_provider_first(desk: Desk) -> None:
    checkout = await _at_the_cashier(desk, status="waiting")
    await desk.advance(900)
    await _follow(desk)
    assert ((await desk.look(checkout)).status, await desk.left()) == ("expired", 3)
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        payment = await session.get_one(SandboxPayment, (desk.merchant_id, payment_key(checkout.id)))
    assert payment.status == "closed"


async def test_who_pays_at_the_last_moment_has_paid(desk: Desk) -> None:
    checkout = await _at_the_cashier(desk, status="paid", settles_in=899)
    await desk.advance(900)
    await _follow(desk)
    assert (await desk.look(checkout)).status == "paid"


async def test_who_was_still_paying_when_it_was_closed_is_asked_after(desk: Desk) -> None:
    """Its notification is lost, too."""
    checkout = await _at_the_cashier(desk, status="paid", settles_in=930)
    await desk.advance(901)
    await _follow(desk)
    assert ((await desk.look(checkout)).status, await desk.left()) == ("expired", 3)
    await desk.advance(3_600)
    await _follow(desk)
    assert ((await desk.look(checkout)).status, await desk.count("orders"), await desk.left()) == ("paid", 1, 2)


async def test_money_that_buys_nothing_goes_back_by_its_provider(desk: Desk) -> None:
    checkout = await _at_the_cashier(desk, status="paid", settles_in=930)
    await desk.advance(901)
    await _follow(desk)
    assert (await desk.look(checkout)).status == "expired"
    later = clock.utcnow() + timedelta(seconds=931)
    await desk.open(quantity=3, now=later)
    assert (await desk.hear(checkout, now=later)).status == "refund_due"
    await desk.advance(30)
    while await refunds.pay_back(desk.resources):
        pass
    seen = await desk.look(checkout)
    assert (seen.status, seen.reason, seen.due_at) == ("refunded", "out_of_stock", None)
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        payment = await session.get_one(SandboxPayment, (desk.merchant_id, payment_key(checkout.id)))
    assert (payment.status, list(payment.refunds.values())) == ("refunded", [5_900])


async def test_a_provider_that_does_not_answer_holds_the_stock_only_for_so_long(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = await _at_the_cashier(desk, status="waiting")

    async def away(_: SandboxCashier, key: str) -> None:
        raise OSError(f"no answer for {key}")

    monkeypatch.setattr(SandboxCashier, "query", away)
    await desk.advance(901)
    await _follow(desk)
    assert ((await desk.look(checkout)).status, await desk.left()) == ("open", 2)
    await desk.advance(600)
    await _follow(desk)
    assert ((await desk.look(checkout)).status, await desk.left()) == ("expired", 3)


async def test_a_claim_that_ran_out_overwrites_nothing(desk: Desk) -> None:
    checkout = await _at_the_cashier(desk, status="waiting")
    await desk.advance(901)
    async with desk.resources.db.system() as session:
        claims = [one for one in await asking.claim(session, limit=100, seconds=0) if one.row_id == checkout.id]
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        turn = await asking.prepare(session, claims[0])
    assert turn is not None
    await _follow(desk)
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        assert await asking.prepare(session, claims[0]) is None
        await asking.go_on(session, replace(turn, is_over=False), None)
    assert (await desk.look(checkout)).status == "expired"


async def test_the_cashier_tells_late_what_was_paid_late(desk: Desk, site: str, app: FastAPI) -> None:
    checkout = await _at_the_cashier(desk, status="paid", settles_in=30)
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        payment = await session.get_one(SandboxPayment, (desk.merchant_id, payment_key(checkout.id)))
        payment.notify_at = payment.settles_at
    here = replace(desk.resources, settings=desk.resources.settings.model_copy(update={"public_url": site}))
    await worker.notify_late(here)
    assert (await desk.look(checkout)).status == "open"
    await desk.advance(31)
    while await worker.notify_late(here):
        pass
    assert (await desk.look(checkout)).status == "paid"


async def test_what_may_have_been_paid_unseen_is_asked_after_once_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = await _at_the_cashier(desk, status="paid")

    async def away(_: SandboxCashier, key: str) -> None:
        raise OSError(f"no answer for {key}")

    with monkeypatch.context() as silent:
        silent.setattr(SandboxCashier, "query", away)
        await desk.advance(1_501)
        await _follow(desk)
    assert (await desk.look(checkout)).status == "expired"
    await desk.advance(3_601)
    await _follow(desk)
    seen = await desk.look(checkout)
    assert (seen.status, seen.due_at, await desk.left()) == ("paid", None, 2)


async def test_a_test_clock_ends_checkouts_and_their_payments_are_asked_after(desk: Desk) -> None:
    paid, idle = await _at_the_cashier(desk, status="paid"), await desk.open()
    later = clock.utcnow() + timedelta(seconds=901)
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        await expire_all_due(session, merchant_id=desk.merchant_id, now=later)
    assert [(await desk.look(one)).status for one in (paid, idle)] == ["expired", "expired"]
    await desk.advance(902)
    await _follow(desk)
    assert [(await desk.look(one)).status for one in (paid, idle)] == ["paid", "expired"]
    assert await desk.left() == 2
