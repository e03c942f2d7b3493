"""What a merchant sees of its funds, and that nobody but the platform says where its payouts come from."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.kit import clock
from app.ledger import funds
from app.merchants import funding
from app.resources import Resources
from tests.factories import MerchantFixture, make_merchant
from tests.factories.merchants import make_platform_user
from tests.factories.payables import make_payable

DENIED = (
    "UPDATE merchants SET plan = 'pro_year'",
    "UPDATE merchants SET funding = 'own'",
    "UPDATE merchants SET house_member_id = NULL",
    "UPDATE plans SET price_minor = 1",
    "UPDATE plan_purchases SET days = 3650",
    "DELETE FROM plan_purchases",
    """INSERT INTO plan_purchases (merchant_id, id, plan, platform_fee_bps, days, amount_minor, currency, bought_at)
    SELECT id, id, 'pro_year', 0, 365, 1, 'CNY', now() FROM merchants""",
)


@pytest.mark.parametrize("statement", DENIED)
async def test_a_merchants_own_session_changes_neither_plan_nor_funding(
    resources: Resources, merchant: MerchantFixture, statement: str
) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with resources.db.tenant(merchant.live_id) as session:
            await session.execute(text(statement))


async def test_funds_are_shown_to_their_merchant_alone(
    app: FastAPI, api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        await make_payable(session, merchant.test_id, 700)
        await funds.received(
            session,
            merchant_id=merchant.test_id,
            source="sale",
            reference="ord_1",
            amount_minor=5_900,
            currency="CNY",
            occurred_at=clock.utcnow(),
        )
    shown = (await api.get("/v1/merchant/funding")).json()
    assert (shown["object"], shown["mode"], shown["livemode"]) == ("merchant_funding", "own", False)
    assert (shown["funds_minor"], shown["available_minor"], shown["reserved_minor"]) == (5_900, 5_900, 0)
    assert (shown["owed_to_promoters_minor"], shown["owed_to_promoters"]["payable_minor"]) == (700, 700)
    other = await make_merchant(resources)
    async with other.client(app) as stranger:
        assert (await stranger.get("/v1/merchant/funding")).json()["funds_minor"] == 0
    async with resources.db.tenant(other.test_id) as session:
        found = await funds.available(session, merchant_id=merchant.test_id, currency="CNY")
        assert found.funds_minor == 0
    statement = (await api.get("/v1/merchant/statement")).json()["data"]
    assert ("sale_received", "merchant_funds", 5_900) in {
        (line["kind"], line["account"], line["balance_minor"]) for line in statement
    }


async def test_a_batch_above_the_funds_answers_409_with_both_figures(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    async with resources.db.system() as session:
        person = await make_platform_user(session)
        await funding.set_mode(session, merchant_id=merchant.test_id, mode="prepaid", actor=person)
        await make_payable(session, merchant.test_id, 700)
        await funding.top_up(
            session,
            merchant_id=merchant.test_id,
            amount_minor=600,
            currency="CNY",
            reference="bank-1",
            actor=person,
            now=clock.utcnow(),
        )
    user = (await api.post("/v1/merchant/users", json={"name": "王会计", "role": "finance"})).json()
    refused = await api.post("/v1/payout-batches", json={"user_id": user["id"]}, headers={"Idempotency-Key": "build-1"})
    assert (refused.status_code, refused.json()["code"]) == (409, "funds_insufficient")
    assert "7.00 CNY (700 minor units), 6.00 (600) is available" in refused.json()["detail"]
    assert (await api.get("/v1/merchant")).json()["funding"] == "prepaid"
