"""A top-up is given back: out of the merchant's funds, never more than is available, then by its provider."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from app.kit import clock
from app.kit.errors import Conflict, InvitreeError, NotFound, Unprocessable
from app.ledger import funds
from app.ledger.verify import verify
from app.merchants import top_up_refunds
from app.models import AuditEntry, Checkout, Refund, SandboxPayment
from app.orders.providers.protocol import payment_key
from app.resources import Resources
from app.worker import refunds as worker
from tests.factories.merchants import make_platform_user
from tests.merchants.conftest import House, Registered


@pytest.fixture
async def merchant(house: House) -> Registered:
    return await house.register()


@pytest.fixture
async def paid(house: House, merchant: Registered) -> Checkout:
    """1,000.00 yuan, which the cashier has taken."""
    checkout = await house.top_up(merchant.live_id, 100_000)
    async with house.resources.db.tenant(checkout.merchant_id) as session:
        terms: dict[str, Any] = {"key": payment_key(checkout.id), "amount_minor": 100_000, "currency": "CNY"}
        now = clock.utcnow()
        session.add(
            SandboxPayment(merchant_id=checkout.merchant_id, **terms, status="paid", settles_at=now, refunds={})
        )
    return checkout


async def refund(
    resources: Resources, merchant_id: str, checkout: Checkout, amount_minor: int, reference: str = "one"
) -> tuple[Refund, bool]:
    terms: dict[str, Any] = {"amount_minor": amount_minor, "reference": reference}
    async with resources.db.system() as session:
        terms["actor"] = await make_platform_user(session)
        return await top_up_refunds.refund(
            session, merchant_id=merchant_id, checkout_id=checkout.id, **terms, now=clock.utcnow()
        )


async def standing(resources: Resources, merchant_id: str) -> int:
    async with resources.db.system() as session:
        assert (await verify(session, merchant_id=merchant_id)).clean
        return (await funds.available(session, merchant_id=merchant_id, currency="CNY")).funds_minor


async def carried(resources: Resources, checkout: Checkout) -> tuple[str, str, list[int]]:
    """The checkout's status, the cashier's, and what it gave back."""
    while await worker.pay_back(resources):
        pass
    async with resources.db.tenant(checkout.merchant_id) as session:
        books = await session.get_one(SandboxPayment, (checkout.merchant_id, payment_key(checkout.id)))
        seen = await session.get_one(Checkout, (checkout.merchant_id, checkout.id))
        return seen.status, books.status, sorted(books.refunds.values())


async def test_in_parts_and_then_wholly(resources: Resources, merchant: Registered, paid: Checkout) -> None:
    made, is_new = await refund(resources, merchant.live_id, paid, 30_000)
    again, is_newer = await refund(resources, merchant.live_id, paid, 30_000)
    assert (is_new, is_newer, made.id == again.id) == (True, False, True)
    assert await standing(resources, merchant.live_id) == 70_000
    assert await carried(resources, paid) == ("paid", "paid", [30_000])
    await refund(resources, merchant.live_id, paid, 70_000, "two")
    assert await standing(resources, merchant.live_id) == 0
    assert await carried(resources, paid) == ("refunded", "refunded", [30_000, 70_000])
    with pytest.raises(Unprocessable, match="refund_exceeds_paid"):
        await refund(resources, merchant.live_id, paid, 1, "three")
    async with resources.db.system() as session:
        told = select(AuditEntry.merchant_id).where(
            AuditEntry.subject_id == merchant.live_id, AuditEntry.action == "funds.top_up_refunded"
        )
        assert sorted(await session.scalars(told)) == sorted([merchant.live_id, paid.merchant_id] * 2)


async def test_what_is_put_aside_stays(resources: Resources, merchant: Registered, paid: Checkout) -> None:
    own: dict[str, Any] = {"merchant_id": merchant.live_id, "currency": "CNY", "occurred_at": clock.utcnow()}
    async with resources.db.tenant(merchant.live_id) as session:
        await funds.reserve(session, **own, amounts={"pay": 40_000})
    with pytest.raises(Conflict, match="funds_insufficient"):
        await refund(resources, merchant.live_id, paid, 60_001)
    await refund(resources, merchant.live_id, paid, 60_000)
    assert await standing(resources, merchant.live_id) == 0
    assert (await carried(resources, paid))[2] == [60_000]


async def test_at_once_with_a_batch_there_is_enough_for_one(
    resources: Resources, merchant: Registered, paid: Checkout
) -> None:
    own: dict[str, Any] = {"merchant_id": merchant.live_id, "currency": "CNY", "occurred_at": clock.utcnow()}

    async def reserve(payout: str) -> str:
        async with resources.db.tenant(merchant.live_id) as session:
            await funds.reserve(session, **own, amounts={payout: 60_000})
        return "done"

    async def give_back(reference: str) -> str:
        await refund(resources, merchant.live_id, paid, 60_000, reference)
        return "done"

    async def told(work: Any) -> str:
        try:
            return str(await work)
        except InvitreeError as error:
            return error.code

    works = [reserve("a"), give_back("a"), reserve("b"), give_back("b")]
    outcomes = sorted(await asyncio.gather(*(told(work) for work in works)))
    assert outcomes[0] == "done"
    assert set(outcomes[1:]) <= {"funds_insufficient", "refund_exceeds_paid"}
    assert await standing(resources, merchant.live_id) == 40_000


async def test_only_its_own_top_ups_that_were_paid(
    house: House, resources: Resources, merchant: Registered, paid: Checkout
) -> None:
    other, plan = await house.register(), await house.buy(merchant.live_id)
    for who, what in ((other.live_id, paid), (merchant.live_id, plan), (merchant.test_id, paid)):
        with pytest.raises(NotFound, match="checkout_not_found"):
            await refund(resources, who, what, 1)
    async with resources.db.system() as session:
        (await session.get_one(Checkout, (paid.merchant_id, paid.id))).applied_at = None
    with pytest.raises(Conflict, match="checkout_not_paid"):
        await refund(resources, merchant.live_id, paid, 1)


async def test_a_reference_means_one_refund(resources: Resources, merchant: Registered, paid: Checkout) -> None:
    await refund(resources, merchant.live_id, paid, 500)
    with pytest.raises(Conflict, match="reference_reused"):
        await refund(resources, merchant.live_id, paid, 501)
    assert await standing(resources, merchant.live_id) == 99_500
