from __future__ import annotations

import httpx
import pytest

from app.kit.errors import Conflict, Unauthorized
from app.orders.providers import opening
from app.orders.providers.sandbox_notices import SandboxReader
from app.resources import Resources
from app.settings import get_settings
from tests.factories import MerchantFixture
from tests.factories.checkouts import notify, told


async def test_no_live_merchant_sells_by_the_cashier_unless_it_is_allowed(
    resources: Resources, merchant: MerchantFixture
) -> None:
    async with resources.db.tenant(merchant.live_id) as session:
        live = {"merchant_id": merchant.live_id, "livemode": True}
        with pytest.raises(Conflict) as refused:
            await opening.choose(session, **live, sandbox_for_live=False)  # type: ignore[arg-type]
        assert refused.value.code == "payment_provider_missing"
        assert await opening.choose(session, **live, sandbox_for_live=True) == "sandbox"  # type: ignore[arg-type]
    async with resources.db.tenant(merchant.test_id) as session:
        test = await opening.choose(session, merchant_id=merchant.test_id, livemode=False, sandbox_for_live=False)
    assert test == "sandbox"


async def test_what_the_cashier_signs_counts_for_no_live_merchant_in_production(merchant: MerchantFixture) -> None:
    async with httpx.AsyncClient() as client:
        own = {"merchant_id": merchant.live_id, "row": None, "client": client}
        with pytest.raises(Unauthorized):
            opening.open_reader("sandbox", **own, livemode=True, sandbox_for_live=False)  # type: ignore[arg-type]
        reader = opening.open_reader("sandbox", **own, livemode=False, sandbox_for_live=False)  # type: ignore[arg-type]
    assert isinstance(reader, SandboxReader)


def test_production_lets_only_test_tenants_use_the_cashier(resources: Resources) -> None:
    production = get_settings().model_copy(update={"environment": "production"})
    assert not production.sandbox_for_live
    assert production.model_copy(update={"sandbox_payments": "all"}).sandbox_for_live


async def test_what_is_not_a_provider_of_the_merchant_signs_nothing(
    http: httpx.AsyncClient, merchant: MerchantFixture
) -> None:
    notice = told(merchant.test_id, "ord_01h2xcejqtf2nbrexx3vqjhp41")
    answer = await http.post(f"/v1/payment-notifications/wechat/{merchant.test_id}", json={})
    assert (answer.status_code, answer.json()["message"]) == (401, "notification_signature_invalid")
    assert (await notify(http, notice)).status_code == 409
