from __future__ import annotations

import httpx
import pytest
from sqlalchemy import text

from app.resources import Resources
from tests.factories import MerchantFixture

HOOK = {"url": "https://shop.example.com/hook", "types": ["order.paid"]}


async def test_the_secret_is_shown_once_and_kept_sealed(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    made = (await api.post("/v1/webhook-endpoints", json=HOOK)).json()
    assert made["secret"].startswith("whsec_")
    (listed,) = (await api.get("/v1/webhook-endpoints")).json()["data"]
    assert listed == {name: value for name, value in made.items() if name != "secret"}
    async with resources.db.tenant(merchant.test_id) as session:
        stored = await session.scalar(text("SELECT secret FROM webhook_endpoints"))
    assert made["secret"].encode() not in stored


@pytest.mark.parametrize("wrong", [{"types": []}, {"types": ["order.exploded"]}, {"url": "http://shop.example.com/"}])
async def test_what_does_not_fit_is_refused(api: httpx.AsyncClient, wrong: dict[str, object]) -> None:
    refused = await api.post("/v1/webhook-endpoints", json=HOOK | wrong)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"].startswith(f"/{next(iter(wrong))}")


async def test_a_deleted_endpoint_is_gone_with_its_deliveries(api: httpx.AsyncClient) -> None:
    endpoint = (await api.post("/v1/webhook-endpoints", json=HOOK)).json()["id"]
    assert (await api.delete(f"/v1/webhook-endpoints/{endpoint}")).status_code == 204
    assert (await api.get("/v1/webhook-endpoints")).json()["data"] == []
    assert (await api.delete(f"/v1/webhook-endpoints/{endpoint}")).status_code == 404


async def test_endpoints_are_limited(api: httpx.AsyncClient) -> None:
    for _ in range(16):
        assert (await api.post("/v1/webhook-endpoints", json=HOOK)).status_code == 201
    refused = await api.post("/v1/webhook-endpoints", json=HOOK)
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_endpoint_limit")


async def test_deliveries_filter_by_what_they_name(api: httpx.AsyncClient) -> None:
    for name in ("endpoint_id", "event_id"):
        refused = await api.get("/v1/webhook-deliveries", params={name: "nonsense"})
        assert refused.status_code == 422
