from __future__ import annotations

import asyncio

import httpx
import pytest
from sqlalchemy import func, select, text

from app.models import IdempotencyKey, Merchant, MerchantUser, WebhookEndpoint
from app.resources import Resources
from tests.factories import MerchantFixture

USER = {"name": "王会计", "role": "finance"}
HOOK = {"url": "https://shop.example.com/hook"}

WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')")


def key(name: str) -> dict[str, str]:
    return {"Idempotency-Key": name}


async def count(resources: Resources, merchant_id: str, model: type[MerchantUser | IdempotencyKey]) -> int:
    async with resources.db.tenant(merchant_id) as session:
        return await session.scalar(select(func.count()).select_from(model)) or 0


async def test_the_same_request_again_gets_the_first_answer(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    first = await api.post("/v1/merchant/users", json=USER, headers=key("k1"))
    second = await api.post("/v1/merchant/users", json=USER, headers=key("k1"))
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert first.headers["request-id"] != second.headers["request-id"]
    assert await count(resources, merchant.test_id, MerchantUser) == 1


async def test_another_body_or_address_under_the_same_key_is_refused(api: httpx.AsyncClient) -> None:
    await api.post("/v1/merchant/users", json=USER, headers=key("k1"))
    for path, body in (("/v1/merchant/users", USER | {"role": "owner"}), ("/v1/test-clock", USER)):
        refused = await api.post(path, json=body, headers=key("k1"))
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")


async def test_keys_of_two_merchants_do_not_meet(api: httpx.AsyncClient, live_api: httpx.AsyncClient) -> None:
    await api.post("/v1/merchant/users", json=USER, headers=key("k1"))
    other = await live_api.post("/v1/merchant/users", json=USER | {"role": "owner"}, headers=key("k1"))
    assert other.status_code == 201
    assert "idempotency-replayed" not in other.headers


async def test_a_request_that_still_runs_is_not_run_twice(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    body = {"advance_seconds": 60}
    async with resources.db.system() as session:
        # Holds the row that the first request needs, so that it stands in the middle of its work.
        await session.execute(select(Merchant.id).where(Merchant.id == merchant.test_id).with_for_update())
        first = asyncio.create_task(api.post("/v1/test-clock", json=body, headers=key("k1")))
        async with asyncio.timeout(10):
            while not await session.scalar(WAITING):
                pass
        second = await api.post("/v1/test-clock", json=body, headers=key("k1"))
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_progress")
    assert second.headers["retry-after"] == "1"
    answer = await first
    assert answer.status_code == 200
    assert (await api.post("/v1/test-clock", json=body, headers=key("k1"))).json() == answer.json()


async def test_of_many_at_once_one_does_the_work(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    answers = await asyncio.gather(*(api.post("/v1/merchant/users", json=USER, headers=key("k1")) for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert await count(resources, merchant.test_id, MerchantUser) == 1


async def test_a_refused_request_leaves_nothing_and_frees_its_key(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    refused = await api.post("/v1/webhook-endpoints", json={"url": "https://10.0.0.1/"}, headers=key("k1"))
    assert refused.status_code == 422
    assert await count(resources, merchant.test_id, IdempotencyKey) == 0
    assert (await api.post("/v1/webhook-endpoints", json=HOOK, headers=key("k1"))).status_code == 201


@pytest.mark.parametrize("path", ["/v1/webhook-endpoints", "/v1/api-keys"])
async def test_a_repeated_answer_shows_no_secret(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources, path: str
) -> None:
    body = HOOK if path == "/v1/webhook-endpoints" else {"name": "k"}
    name = "secret" if path == "/v1/webhook-endpoints" else "secret_key"
    first = (await api.post(path, json=body, headers=key("k1"))).json()
    second = (await api.post(path, json=body, headers=key("k1"))).json()
    assert first[name]
    assert second == first | {name: None}
    async with resources.db.tenant(merchant.test_id) as session:
        stored = (await session.scalars(select(IdempotencyKey))).one()
    assert first[name].encode() not in stored.body


async def test_the_answer_is_stored_if_and_only_if_the_work_was_done(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    await api.post("/v1/webhook-endpoints", json=HOOK, headers=key("k1"))
    async with resources.db.tenant(merchant.test_id) as session:
        stored = await session.get_one(IdempotencyKey, (merchant.test_id, "k1"))
        made = (await session.scalars(select(WebhookEndpoint))).one()
    assert stored.status == 201
    assert made.id.encode() in stored.body


@pytest.mark.parametrize("wild", ["", "x" * 256, "schlüssel", "tab\there"])
async def test_a_key_that_cannot_be_one_is_refused(api: httpx.AsyncClient, wild: str) -> None:
    refused = await api.post("/v1/merchant/users", json=USER, headers=[(b"Idempotency-Key", wild.encode("latin-1"))])
    assert (refused.status_code, refused.json()["code"]) == (400, "idempotency_key_invalid")


async def test_reading_takes_no_notice_of_a_key(api: httpx.AsyncClient) -> None:
    await api.post("/v1/merchant/users", json=USER, headers=key("k1"))
    listed = await api.get("/v1/merchant/users", headers=key("k1"))
    assert listed.json()["object"] == "list"
