"""Rails by HTTP: credentials in, never out; a batch sent, told by its payouts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.kit import ids
from app.resources import Resources
from app.worker import payouts as worker
from tests.factories import MerchantFixture
from tests.factories.payables import make_payable
from tests.factories.providers import alipay_settings, wechat_settings
from tests.factories.rails import Counter, open_counter


@pytest.fixture
async def counter(resources: Resources, merchant: MerchantFixture) -> Counter:
    return await open_counter(resources, merchant.test_id)


async def post(api: httpx.AsyncClient, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
    return await api.post(path, json=body or {}, headers={"Idempotency-Key": ids.new("idk")})


async def test_credentials_are_taken_sealed_and_never_shown(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    for kind, settings in (("wechat", wechat_settings()), ("alipay", alipay_settings())):
        answer = await api.put(f"/v1/payout-rails/{kind}", json=asdict(settings))
        assert answer.status_code == 200, answer.text
        assert "PRIVATE" not in answer.text
        assert answer.json()["settings"]["private_key"] == "set"
    listed = (await api.get("/v1/payout-rails")).json()["data"]
    assert [each["kind"] for each in listed] == ["alipay", "wechat"]
    assert listed[1]["settings"]["mch_id"] == "1900000109"
    async with resources.db.tenant(merchant.test_id) as session:
        stored = (await session.execute(text("SELECT settings FROM payout_rails"))).scalars().all()
    assert all(b"1900000109" not in bytes(each) and b"PRIVATE" not in bytes(each) for each in stored)


@pytest.mark.parametrize("key", ["x", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"])
async def test_a_key_that_cannot_be_read_is_refused(api: httpx.AsyncClient, key: str) -> None:
    answer = await api.put("/v1/payout-rails/wechat", json=asdict(wechat_settings(private_key=key)))
    assert (answer.status_code, answer.json()["code"]) == (422, "payout_rail_key_invalid")
    assert answer.json()["errors"][0]["pointer"] == "/private_key"


@pytest.mark.parametrize("given", [{"confirms_after_seconds": False}, {"rejects_bps": True}, {"delay_seconds": "5"}])
async def test_what_is_no_number_is_refused(api: httpx.AsyncClient, given: dict[str, object]) -> None:
    answer = await api.put("/v1/payout-rails/sandbox", json=given)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_credentials_want_the_scope_admin(api: httpx.AsyncClient, merchant: MerchantFixture) -> None:
    key = (await api.post("/v1/api-keys", json={"name": "k", "scopes": ["read", "write", "payouts"]})).json()
    headers = {"Authorization": f"Bearer {key['secret_key']}"}
    answer = await api.put("/v1/payout-rails/sandbox", json={}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


async def test_sent_by_http_and_told_by_its_payouts(
    api: httpx.AsyncClient, resources: Resources, counter: Counter
) -> None:
    await api.put("/v1/payout-rails/sandbox", json={"asks_payee_bps": 10_000, "confirms_after_seconds": None})
    async with resources.db.tenant(counter.merchant_id) as session:
        await make_payable(session, counter.merchant_id, 700, kind="wechat", account="oUpF8uMuAJO_1")
        await make_payable(session, counter.merchant_id, 900)
    built = await post(api, "/v1/payout-batches", {"user_id": counter.maker, "channel": "wechat"})
    batch = built.json()
    assert (batch["channel"], batch["payout_count"], batch["total_minor"]) == ("wechat", 1, 700)
    assert [each["reason"] for each in batch["skipped"]] == ["payee_account_missing"]
    path = f"/v1/payout-batches/{batch['id']}"
    early = await post(api, f"{path}/send")
    assert (early.status_code, early.json()["code"]) == (409, "batch_not_approved")
    assert (await post(api, f"{path}/approve", {"user_id": counter.checker})).status_code == 200
    assert (await api.post(f"{path}/send")).json()["code"] == "idempotency_key_missing"
    refused = await post(api, f"{path}/send", {"user_id": counter.maker})
    assert (refused.status_code, refused.json()["code"]) == (403, "role_not_allowed")
    sent = (await post(api, f"{path}/send", {"user_id": counter.checker})).json()
    assert (sent["status"], sent["sent_at"] is not None) == ("sent", True)
    await worker.carry_payouts(resources)
    (payout,) = (await api.get("/v1/payouts", params={"batch_id": batch["id"]})).json()["data"]
    assert (payout["status"], payout["rail"], payout["package_info"][:8]) == ("awaiting_payee", "sandbox", "sandbox:")
    asked = (await post(api, f"/v1/payouts/{payout['id']}/cancel")).json()
    assert (asked["status"], asked["cancel_asked_at"] is not None) == ("awaiting_payee", True)
    again = await post(api, f"/v1/payouts/{payout['id']}/cancel")
    assert again.json()["cancel_asked_at"] == asked["cancel_asked_at"]
    await worker.carry_payouts(resources)
    (payout,) = (await api.get("/v1/payouts", params={"batch_id": batch["id"]})).json()["data"]
    assert (payout["status"], payout["commission_ids"]) == ("failed", [])
    late = await post(api, f"/v1/payouts/{payout['id']}/cancel")
    assert late.status_code == 200, "it was asked for before"
    assert (await api.get(path)).json()["status"] == "settled"


async def test_results_are_not_imported_into_what_was_sent(api: httpx.AsyncClient, counter: Counter) -> None:
    batch = await counter.sent(700)
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "results"}
    answer = await api.post(f"/v1/payout-batches/{batch.id}/results", content=b"payout_id,status\n", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "batch_sent")
