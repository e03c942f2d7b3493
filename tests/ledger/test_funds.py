"""What a merchant has paid in: put aside once, spent or given back once, never more than there is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock, ids
from app.kit.errors import Conflict
from app.ledger import funds
from app.ledger.service import Leg
from app.ledger.verify import verify
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.money import move


def scope(merchant_id: str, **more: Any) -> dict[str, Any]:
    return {"merchant_id": merchant_id, "currency": "CNY", "occurred_at": clock.utcnow(), **more}


async def top_up(session: AsyncSession, merchant_id: str, amount_minor: int, reference: str | None = None) -> bool:
    reference = reference or ids.new("tst")
    own = scope(merchant_id, source="top_up", reference=reference, amount_minor=amount_minor)
    return await funds.received(session, **own)


async def standing(session: AsyncSession, merchant_id: str) -> tuple[int, int, int]:
    """Available, reserved, spent."""
    found = await funds.available(session, merchant_id=merchant_id, currency="CNY")
    return found.available_minor, found.reserved_minor, found.spent_minor


async def test_what_is_paid_in_is_put_aside_then_spent_or_given_back(
    tenant: AsyncSession, merchant: MerchantFixture
) -> None:
    own = merchant.test_id
    await top_up(tenant, own, 1_000)
    await funds.received(tenant, **scope(own, source="sale", reference="ord_1", amount_minor=500))
    assert await standing(tenant, own) == (1_500, 0, 0)
    await funds.reserve(tenant, **scope(own, amounts={"pay_1": 700, "pay_2": 300}))
    assert await standing(tenant, own) == (500, 1_000, 0)
    await funds.spend(tenant, **scope(own, references=["pay_1"]))
    await funds.release(tenant, **scope(own, references=["pay_2"]))
    assert await standing(tenant, own) == (800, 0, 700)
    # The sale is of no checkout.
    named = [one.check for one in (await verify(tenant, merchant_id=own)).differences]
    assert named == ["customers_payments_are_in_the_funds"]


async def test_each_step_is_made_once(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    own = merchant.test_id
    assert await top_up(tenant, own, 1_000, "bank-1") is True
    assert await top_up(tenant, own, 1_000, "bank-1") is False
    for _ in range(2):
        await funds.reserve(tenant, **scope(own, amounts={"pay_1": 400}))
    for _ in range(2):
        await funds.spend(tenant, **scope(own, references=["pay_1"]))
    assert await standing(tenant, own) == (600, 0, 400)


async def test_a_reference_that_brought_another_amount_is_refused(
    tenant: AsyncSession, merchant: MerchantFixture
) -> None:
    await top_up(tenant, merchant.test_id, 1_000, "bank-1")
    with pytest.raises(Conflict, match=r"reference_reused: bank-1 brought 10\.00 CNY"):
        await top_up(tenant, merchant.test_id, 2_000, "bank-1")


async def test_what_was_never_put_aside_is_not_spent(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    await top_up(tenant, merchant.test_id, 1_000)
    await funds.spend(tenant, **scope(merchant.test_id, references=["pay_1"]))
    await funds.release(tenant, **scope(merchant.test_id, references=["pay_2"]))
    assert await standing(tenant, merchant.test_id) == (1_000, 0, 0)


async def test_what_the_platform_is_owed_is_not_available(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    own = merchant.test_id
    await top_up(tenant, own, 1_000)
    await move(tenant, own, Leg("merchant_sales", None, -60), Leg("platform_fee", None, 60))
    await funds.require(tenant, merchant_id=own, currency="CNY", amount_minor=940)
    with pytest.raises(Conflict, match=r"funds_insufficient: This takes 9\.41 CNY \(941 .*9\.40 \(940\) is available"):
        await funds.reserve(tenant, **scope(own, amounts={"pay_1": 941}))
    assert await standing(tenant, own) == (940, 0, 0)


async def test_two_who_reserve_at_once_get_no_more_than_there_is(
    resources: Resources, merchant: MerchantFixture
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        await top_up(session, merchant.test_id, 1_000)

    async def reserve(number: int) -> str:
        try:
            async with resources.db.tenant(merchant.test_id) as session:
                await funds.reserve(session, **scope(merchant.test_id, amounts={f"pay_{number}": 300}))
        except Conflict as refused:
            return refused.code
        return "reserved"

    done = await asyncio.gather(*(reserve(number) for number in range(8)))
    assert sorted(done) == ["funds_insufficient"] * 5 + ["reserved"] * 3
    async with resources.db.tenant(merchant.test_id) as session:
        assert await standing(session, merchant.test_id) == (100, 900, 0)
