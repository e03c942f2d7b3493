"""Orders that are recorded ahead of the framework are answered as by it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.api.hot import orders
from app.kit import clock, ids
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.shops import Till, open_shop

PLAIN, ROUNDABOUT = "application/json", "application/json; charset=utf-8"


@pytest.fixture
async def till(api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture) -> Till:
    return Till(api, resources, await open_shop(resources, merchant))


async def send(till: Till, order: dict[str, Any], kind: str = PLAIN, **headers: str) -> httpx.Response:
    given = {"Content-Type": kind, "Idempotency-Key": ids.new("key"), **headers}
    return await till.api.post("/v1/orders", content=json.dumps(order), headers=given)


def shape(value: object) -> object:
    """Without what differs from one order to the next."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    is_own = isinstance(value, str) and (value[3:4] == "_" or value[10:11] == "T")
    return type(value) if is_own else value


async def test_both_ways_answer_alike(till: Till) -> None:
    order = {**till.shop.order(), "metadata": {"till": 3, "object": "x"}}
    plain, roundabout = await send(till, order), await send(till, {**order, "external_order_id": "b"}, ROUNDABOUT)
    assert plain.status_code == roundabout.status_code == 201
    first, second = plain.json(), roundabout.json()
    del first["external_order_id"], second["external_order_id"]
    assert list(first) == list(second)
    assert shape(first) == shape(second)
    assert plain.headers.keys() == roundabout.headers.keys()
    assert plain.headers["content-type"] == roundabout.headers["content-type"]


@pytest.mark.parametrize("ways", [(PLAIN, ROUNDABOUT), (ROUNDABOUT, PLAIN), (PLAIN, PLAIN)], ids=["to", "fro", "stay"])
async def test_an_answer_is_given_again_whichever_way_it_was_made(till: Till, ways: tuple[str, str]) -> None:
    order, key = till.shop.order(), ids.new("key")
    first, again = [await send(till, order, way, **{"Idempotency-Key": key}) for way in ways]
    assert (first.status_code, first.content) == (again.status_code, again.content) == (201, first.content)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    other = await send(till, {**order, "amount_minor": 1}, ways[1], **{"Idempotency-Key": key})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_the_same_order_under_another_key_is_the_same(till: Till) -> None:
    order = till.shop.order()
    first, again = await send(till, order), await send(till, order)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


async def test_of_many_at_once_under_one_key_one_is_recorded(till: Till) -> None:
    order, key = till.shop.order(), ids.new("key")
    answers = await asyncio.gather(*(send(till, order, **{"Idempotency-Key": key}) for _ in range(6)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"idempotency_in_progress"}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    await till.check_books()


async def test_a_key_that_ended_a_moment_ago_records_nothing(till: Till, resources: Resources) -> None:
    own = (await till.api.post("/v1/api-keys", json={"name": "till"})).json()
    bearer = {"Authorization": f"Bearer {own['secret_key']}"}
    assert (await send(till, till.shop.order(), **bearer)).status_code == 201
    assert (await till.api.delete(f"/v1/api-keys/{own['id']}")).is_success
    refused = await send(till, till.shop.order(), **bearer)
    assert (refused.status_code, refused.json()["code"]) == (401, "api_key_invalid")
    assert refused.headers["www-authenticate"] == 'Bearer realm="invitree"'


async def test_a_key_that_may_only_read_records_nothing(till: Till) -> None:
    own = (await till.api.post("/v1/api-keys", json={"name": "report", "scopes": ["read"]})).json()
    refused = await send(till, till.shop.order(), Authorization=f"Bearer {own['secret_key']}")
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


async def test_a_test_clock_that_moved_a_moment_ago_counts(till: Till) -> None:
    assert (await send(till, till.shop.order())).status_code == 201
    await till.wait_days(2)
    later = (clock.utcnow() + timedelta(days=1)).isoformat()
    assert (await send(till, till.shop.order(paid_at=later))).status_code == 201


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": -1},
        {"amount_minor": "5900"},
        {"unknown": 1},
        {"paid_at": "2026-12-01T09:30:00"},
        {"member_id": "mbr_01h2xcejqtf2nbrexx3vqjhp41"},
        {"participant_id": "ptc_01h2xcejqtf2nbrexx3vqjhp41"},
        {"campaign_id": "cmp_01h2xcejqtf2nbrexx3vqjhp41"},
        {"currency": "USD"},
        {"external_order_id": "a\0b"},
    ],
    ids="-".join,
)
async def test_both_ways_refuse_alike(till: Till, change: dict[str, Any]) -> None:
    order = {**till.shop.order(), **change}
    plain, roundabout = await send(till, order), await send(till, order, ROUNDABOUT)
    assert plain.status_code == roundabout.status_code >= 400
    assert {**plain.json(), "request_id": 0} == {**roundabout.json(), "request_id": 0}
    assert plain.headers.keys() == roundabout.headers.keys()


@pytest.mark.parametrize("missing", ["Idempotency-Key", "Content-Type", "Authorization"])
async def test_what_does_not_come_with_all_its_headers_is_refused_by_name(till: Till, missing: str) -> None:
    request = till.api.build_request("POST", "/v1/orders", json=till.shop.order(), headers={"Idempotency-Key": "k"})
    del request.headers[missing]
    expected = {
        "Idempotency-Key": (400, "idempotency_key_missing"),
        "Content-Type": (422, "content_type_unexpected"),
        "Authorization": (401, "api_key_missing"),
    }
    answer = await till.api.send(request)
    assert (answer.status_code, answer.json()["code"]) == expected[missing]


def scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    plain = ((b"content-type", b"application/json"), (b"authorization", b"Bearer x"), (b"idempotency-key", b"k"))
    return {"headers": [*plain, *headers]}


def test_only_a_plain_head_goes_the_short_way() -> None:
    assert orders.read_head(scope()) == orders.Head(b"Bearer x", "k")
    assert orders.read_head(scope((b"authorization", b"Bearer y"))) is None
    assert orders.read_head({"headers": scope()["headers"][:2]}) is None
    assert orders.read_head({"headers": scope()["headers"][1:]}) is None


async def test_a_body_may_come_in_pieces(till: Till) -> None:
    async def pieces() -> Any:
        content = json.dumps(till.shop.order()).encode()
        yield content[:20]
        yield content[20:]

    headers = {"Content-Type": PLAIN, "Idempotency-Key": ids.new("key")}
    answer = await till.api.post("/v1/orders", content=pieces(), headers=headers)
    assert answer.status_code == 201, answer.text


async def test_a_body_that_is_too_large_is_refused(till: Till) -> None:
    order = {**till.shop.order(), "metadata": {"note": "x" * 1_048_576}}
    refused = await send(till, order)
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
