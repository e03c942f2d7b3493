"""A refund of what was paid on our own page goes back by its provider: once, whoever dies in between."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.kit import clock, ids
from app.ledger import funds
from app.ledger.verify import verify
from app.models import Checkout, SandboxPayment
from app.orders import paying_back
from app.orders.providers.protocol import Payback, payment_key
from app.orders.providers.sandbox import SandboxCashier
from app.payouts import checkup
from app.resources import Resources
from app.worker import refunds as worker
from tests.factories import MerchantFixture
from tests.factories.checkouts import Desk
from tests.factories.shops import Shop, Till, open_shop

CHECK = "customers_payments_are_in_the_funds"


@pytest.fixture
async def shop(resources: Resources, merchant: MerchantFixture) -> Shop:
    return await open_shop(resources, merchant, stock=5)


@pytest.fixture
def desk(resources: Resources, shop: Shop) -> Desk:
    return Desk(resources, shop)


@pytest.fixture
async def sold(desk: Desk) -> str:
    """Of 59.00 yuan, which the cashier has taken."""
    return await _sell(desk)


async def _sell(desk: Desk) -> str:
    checkout = await desk.open()
    payment: dict[str, Any] = {"key": payment_key(checkout.id), "amount_minor": 5_900, "currency": "CNY"}
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        session.add(
            SandboxPayment(
                merchant_id=desk.merchant_id, **payment, status="paid", settles_at=clock.utcnow(), refunds={}
            )
        )
    await desk.hear(checkout)
    return checkout.id


async def _cashier(desk: Desk, checkout_id: str) -> tuple[str, list[int]]:
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        row = await session.get_one(SandboxPayment, (desk.merchant_id, payment_key(checkout_id)))
        return row.status, sorted(row.refunds.values())


async def _pay_back(desk: Desk) -> None:
    """Until nothing is due; other tests' refunds may be among it."""
    while await worker.pay_back(desk.resources):
        pass


async def _funds(desk: Desk) -> int:
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        return (await funds.available(session, merchant_id=desk.merchant_id, currency="CNY")).funds_minor


async def test_each_part_goes_back_once_and_out_of_the_funds_once(till: Till, desk: Desk, sold: str) -> None:
    first = await till.refunded(sold, 2_000, external_refund_id="r-1")
    assert (first["payback"], first["paid_back_at"]) == ("due", None)
    assert await _funds(desk) == 3_900
    await _pay_back(desk)
    assert await _cashier(desk, sold) == ("paid", [2_000])
    again = (await till.refund(sold, 2_000, external_refund_id="r-1")).json()
    assert (again["payback"], datetime.fromisoformat(again["paid_back_at"]) <= clock.utcnow()) == ("refunded", True)
    second = await till.refunded(sold, 3_900)
    await _pay_back(desk)
    assert await _cashier(desk, sold) == ("refunded", [2_000, 3_900])
    assert (await till.get(f"/v1/refunds/{second['id']}"))["payback"] == "refunded"
    assert await _funds(desk) == 0
    await till.check_books()


async def test_a_refund_that_was_there_before_its_sale_goes_back_with_it(till: Till, desk: Desk) -> None:
    checkout = await desk.open()
    body = {"external_refund_id": "r-0", "external_order_id": checkout.id, "amount_minor": 5_900}
    parked = (await till.post("/v1/refunds", body)).json()
    assert (parked["status"], parked["payback"]) == ("parked", None)
    await desk.hear(checkout)
    assert (await till.get(f"/v1/refunds/{parked['id']}"))["payback"] == "due"
    assert await _funds(desk) == 0


async def test_what_was_paid_elsewhere_is_given_back_there(till: Till, desk: Desk) -> None:
    order = await till.sell()
    refund = await till.refunded(order["id"], 1_000)
    assert (refund["status"], refund["payback"]) == ("applied", None)


async def test_a_provider_that_is_away_is_asked_again_by_the_same_key(
    till: Till, desk: Desk, sold: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had given the money back before its answer was lost."""
    refund, take = await till.refunded(sold, 2_000), SandboxCashier.refund

    async def lose(cashier: SandboxCashier, payback: Payback) -> None:
        await take(cashier, payback)
        raise OSError("no answer")

    with monkeypatch.context() as away:
        away.setattr(SandboxCashier, "refund", lose)
        await _pay_back(desk)
    assert (await till.get(f"/v1/refunds/{refund['id']}"))["payback"] == "unknown"
    await desk.advance(31)
    await _pay_back(desk)
    assert (await till.get(f"/v1/refunds/{refund['id']}"))["payback"] == "refunded"
    assert await _cashier(desk, sold) == ("paid", [2_000])


async def test_a_worker_that_came_late_overwrites_nothing(till: Till, desk: Desk, sold: str) -> None:
    refund = await till.refunded(sold, 2_000)
    async with desk.resources.db.system() as session:
        claims = await paying_back.claim(session, limit=100, seconds=0)
    (claim,) = [one for one in claims if one.row_id == refund["id"]]
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        turn = await paying_back.prepare(session, claim)
    assert turn
    await _pay_back(desk)
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        await paying_back.record(session, turn, "unknown")
    assert (await till.get(f"/v1/refunds/{refund['id']}"))["payback"] == "refunded"
    assert await _cashier(desk, sold) == ("paid", [2_000])


async def test_a_worker_that_died_leaves_its_refund_to_the_next(till: Till, desk: Desk, sold: str) -> None:
    refund = await till.refunded(sold, 2_000)
    async with desk.resources.db.system() as session:
        await paying_back.claim(session, limit=100, seconds=3_600)
    await _pay_back(desk)
    assert await _cashier(desk, sold) == ("paid", [])
    async with desk.resources.db.system() as session:
        ran_out = text("UPDATE refunds SET leased_until = now() WHERE id = :id")
        await session.execute(ran_out, {"id": ids.decode("rfd", refund["id"])})
    await _pay_back(desk)
    assert await _cashier(desk, sold) == ("paid", [2_000])


async def test_the_cashier_gives_back_no_more_than_it_took(desk: Desk, sold: str) -> None:
    cashier = SandboxCashier(desk.merchant_id, lambda: desk.resources.db.tenant(desk.merchant_id), clock.utcnow())

    async def give(refund_key: str, amount: int, total: int = 5_900) -> str:
        return await cashier.refund(Payback(payment_key(sold), refund_key, amount, total, "CNY", "商家退款"))

    assert [await give("a", 3_000), await give("a", 3_000), await give("a", 2_999)] == ["refunded"] * 2 + ["refused"]
    assert [await give("b", 2_901), await give("b", 2_900, 5_901), await give("b", 2_900)] == ["refused"] * 2 + [
        "refunded"
    ]


async def test_the_doctor_names_what_has_not_gone_back(till: Till, desk: Desk, sold: str) -> None:
    async def stuck(**later: int) -> set[tuple[str, str]]:
        async with desk.resources.db.tenant(desk.merchant_id) as session:
            at = clock.utcnow() + timedelta(**later)
            found = await checkup.examine(session, merchant_id=desk.merchant_id, now=at)
        return {(one.check, one.subject_id) for one in found}

    refund = await till.refunded(sold, 2_000)
    late = await desk.open()
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        await session.execute(text("UPDATE campaigns SET stock = 0"))
        held = await session.get_one(Checkout, (desk.merchant_id, late.id))
        held.status, held.reserved = "expired", 0
    assert (await desk.hear(late)).status == "refund_due"
    assert await stuck() == set()
    (owed,) = [one["id"] for one in (await till.get("/v1/refunds"))["data"] if one["checkout_id"] == late.id]
    assert await stuck(minutes=61) == {("refund not given back", owed), ("refund not given back", refund["id"])}
    await _pay_back(desk)
    # The cashier has given the one back; of the other it knows no payment.
    assert await stuck(minutes=61) == {("refund that its provider does not carry out", owed)}


async def test_what_promoters_got_before_its_refund_is_a_debt_and_no_fault_of_the_books(
    till: Till, desk: Desk, sold: str
) -> None:
    own: dict[str, Any] = {"merchant_id": desk.merchant_id, "currency": "CNY"}
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        await funds.reserve(session, **own, amounts={"pay": 5_000}, occurred_at=clock.utcnow())
        await funds.spend(session, **own, references=["pay"], occurred_at=clock.utcnow())
    await till.refunded(sold, 5_900)
    assert await _funds(desk) == -5_000
    await till.check_books()


async def test_a_sale_that_the_funds_tell_otherwise_is_named(desk: Desk) -> None:
    await _sell(desk)
    own: dict[str, Any] = {"merchant_id": desk.merchant_id, "currency": "CNY", "occurred_at": clock.utcnow()}
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        await funds.returned(session, **own, reference="rfd_unknown", amount_minor=900)
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        (named,) = (await verify(session, merchant_id=desk.merchant_id)).differences
    assert (named.check, named.expected_minor, named.found_minor) == (CHECK, -5_900, -5_000)
