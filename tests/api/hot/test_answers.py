"""The two routes ahead of the framework answer as all others do, whatever is asked of them."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from starlette.types import Message

from app.api import middleware
from app.resources import Resources
from app.tracking import intake, links
from app.tracking.recorder import Recorder
from tests.factories import MerchantFixture
from tests.factories.merchants import client_by
from tests.factories.served import WAYS, way_to
from tests.factories.tracking import WECHAT, Link, make_link

PHONE = {"User-Agent": WECHAT, "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
JSON = {"Content-Type": "application/json"}
EVENTS = "/v1/events"


@pytest.fixture(params=WAYS)
async def transport(request: pytest.FixtureRequest, app: FastAPI) -> AsyncIterator[httpx.AsyncBaseTransport]:
    async with way_to(app, request.param) as found:
        yield found


@pytest.fixture
async def link(resources: Resources, merchant: MerchantFixture) -> Link:
    return await make_link(resources, merchant.test_id)


def counted(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("invitree_http_requests_total", labels) or 0.0


async def test_every_answer_is_dressed(http: httpx.AsyncClient, api: httpx.AsyncClient, link: Link) -> None:
    answers = [
        await http.get(link.path, headers=PHONE),
        await http.get("/i/22222222", headers=PHONE),
        await http.get("/i/22222222", headers={"Accept": "application/json"}),
        await http.delete(link.path),
        await api.post(EVENTS, json=[]),
        await http.post(EVENTS, json=[]),
    ]
    assert [answer.status_code for answer in answers] == [302, 404, 404, 405, 200, 401]
    for answer in answers:
        assert answer.headers["request-id"].startswith("req_")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "strict-origin-when-cross-origin"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.headers.get_list("content-security-policy")) == 1


@pytest.mark.parametrize(("given", "is_taken"), [("trace-4711-abc", True), ("short", False), ("a b c d e f", False)])
async def test_a_request_id_is_given_back_where_it_is_one(
    http: httpx.AsyncClient, api: httpx.AsyncClient, link: Link, given: str, is_taken: bool
) -> None:
    headers = PHONE | {"Request-Id": given}
    for answer in (
        await http.get(link.path, headers=headers),
        await http.get("/i/22222222", headers=headers),
        await api.post(EVENTS, json=[], headers=headers),
    ):
        assert (answer.headers["request-id"] == given) is is_taken


async def test_people_get_a_page_for_an_unknown_code_and_programs_a_problem(http: httpx.AsyncClient) -> None:
    page = await http.get("/i/22222222", headers=PHONE)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "没有找到这个邀请" in page.text
    assert "ask for a new link" in page.text
    problem = await http.get("/i/22222222", headers=PHONE | {"Accept": "application/json"})
    assert problem.headers["content-type"] == "application/problem+json"
    assert (problem.json()["code"], problem.json()["instance"]) == ("invite_code_not_found", "/i/22222222")


async def test_looking_for_an_unknown_code_shows_no_body(http: httpx.AsyncClient) -> None:
    whole, head = await http.get("/i/22222222"), await http.head("/i/22222222")
    assert (head.status_code, head.content) == (404, b"")
    assert head.headers["content-length"] == whole.headers["content-length"] != "0"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/i/22222222", "GET, HEAD"), ("OPTIONS", "/i/22222222", "GET, HEAD"), ("GET", EVENTS, "POST")],
)
async def test_another_method_is_told_the_right_ones(
    http: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await http.request(method, path, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/i/2222%00222", "/i/22222222?ch=%00"])
async def test_a_nul_byte_in_the_address_is_unreadable(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "nul_byte")


@pytest.mark.parametrize("path", ["/i/", "/i/22222222/", "/i/a/b", "/v1/events/"])
async def test_an_address_beside_them_is_the_frameworks(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, headers={"Accept": "application/json"})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        (JSON, b"[", 400, "json_invalid"),
        (JSON, b'[{"event_id": "\xff"}]', 400, "json_invalid"),
        (JSON, gzip.compress(b"[]", mtime=0), 400, "json_invalid"),
        (JSON, b"{}", 422, "validation_failed"),
        (JSON, b"null", 422, "validation_failed"),
        (JSON, b"", 422, "validation_failed"),
        (JSON, b"[" + b"1," * 500 + b"1]", 422, "validation_failed"),
        ({"Content-Type": "text/plain"}, b"[]", 422, "content_type_unexpected"),
        ({}, b"[]", 422, "content_type_unexpected"),
        (JSON, b'"' + b"x" * 1024 * 1024 + b'"', 413, "body_too_large"),
    ],
)
async def test_a_body_that_is_no_list_of_events_is_refused(
    api: httpx.AsyncClient, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    answer = await api.post(EVENTS, content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_body_over_the_limit_is_refused_while_it_streams(api: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(2_000):
            yield b" " * 1024

    answer = await api.post(EVENTS, content=endless(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_body_in_pieces_is_put_together(api: httpx.AsyncClient, link: Link) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'[{"event_id":"a","type":"cl'
        yield f'ick","invite_code":"{link.code}"}}]'.encode()

    answer = await api.post(EVENTS, content=pieces(), headers=JSON)
    assert answer.json()["data"] == [{"event_id": "a", "status": "accepted"}]


async def test_a_body_that_does_not_come_is_given_up(
    app: FastAPI, merchant: MerchantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.05)

    async def drip() -> AsyncIterator[bytes]:
        yield b"["
        await asyncio.Event().wait()

    # A client on a socket would wait for its own body before it reads an answer.
    async with merchant.client(app) as api:
        answer = await api.post(EVENTS, content=drip(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "body_too_slow")


async def test_who_leaves_in_the_middle_is_no_fault(app: FastAPI, merchant: MerchantFixture) -> None:
    head = [(b"authorization", f"Bearer {merchant.test_key}".encode()), (b"content-length", b"99")]
    scope: dict[str, Any] = {"type": "http", "http_version": "1.1", "method": "POST", "path": EVENTS, "headers": head}
    scope |= {"raw_path": EVENTS.encode(), "query_string": b"", "root_path": "", "scheme": "http", "client": None}
    begun: Message = {"type": "http.request", "body": b"[", "more_body": True}
    pieces = iter([begun, {"type": "http.disconnect"}])
    told: list[Message] = []
    gone = counted("POST", EVENTS, middleware.CLIENT_GONE)

    async def receive() -> Message:
        return next(pieces)

    async def send(message: Message) -> None:
        told.append(message)

    await app(scope, receive, send)
    assert not told
    assert counted("POST", EVENTS, middleware.CLIENT_GONE) == gone + 1


async def test_answers_are_counted_by_route_and_status(http: httpx.AsyncClient, link: Link) -> None:
    route = "/i/{invite_code}"
    places = [("GET", route, 302), ("HEAD", route, 302), ("GET", route, 404), ("POST", EVENTS, 401)]
    before = [counted(*place) for place in places]
    await http.get(link.path)
    await http.head(link.path)
    await http.get("/i/22222222")
    await http.post(EVENTS, json=[])
    await asyncio.sleep(0)
    assert [counted(*place) for place in places] == [number + 1 for number in before]


async def test_what_cannot_be_stored_spoils_its_own_item_alone(api: httpx.AsyncClient, link: Link) -> None:
    good = {"event_id": "good", "type": "click", "invite_code": link.code}
    bad = {**good, "event_id": "bad", "user_agent": "a\u0000b"}
    nested: Any = []
    for _ in range(40):
        nested = [nested]
    answer = await api.post(EVENTS, json=[bad, good, {"event_id": "deep", "type": nested}, {"event_id": "\u0000"}])
    assert [(item.get("event_id"), item["status"], item.get("code")) for item in answer.json()["data"]] == [
        ("bad", "rejected", "nul_byte"),
        ("good", "accepted", None),
        ("deep", "rejected", "json_too_deep"),
        (None, "rejected", "nul_byte"),
    ]


async def test_while_no_store_takes_events_friends_are_led_on_and_servers_told_to_come_again(
    http: httpx.AsyncClient, api: httpx.AsyncClient, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = {"event_id": "a", "type": "click", "invite_code": link.code}
    await api.post(EVENTS, json=[event])  # its code and its key are known from here on

    async def refuse(*_: object) -> list[bool]:
        raise ConnectionError("no store")

    monkeypatch.setattr(Recorder, "record", refuse)
    led_on = await http.get(link.path, headers=PHONE)
    assert (led_on.status_code, led_on.headers["location"]) == (302, f"/h5/c/{link.campaign_id}?code={link.code}")
    assert "event-id" not in led_on.headers
    before = counted("POST", EVENTS, 503)
    refused = await api.post(EVENTS, json=[event], headers={"Request-Id": "trace-4711-abc"})
    assert (refused.status_code, refused.json()["code"]) == (503, "events_not_recorded")
    assert refused.headers["content-type"] == "application/problem+json"
    assert (refused.headers["request-id"], refused.headers["retry-after"]) == ("trace-4711-abc", "2")
    assert refused.headers["x-content-type-options"] == "nosniff"
    assert counted("POST", EVENTS, 503) == before + 1


@pytest.mark.parametrize("path", ["/i/", EVENTS])
async def test_a_fault_behind_a_recorded_batch_is_told(
    app: FastAPI, merchant: MerchantFixture, link: Link, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async with way_to(app, "server") as transport, client_by(transport, merchant.test_key) as api:
        event = {"event_id": "a", "type": "click", "invite_code": link.code}
        await api.post(EVENTS, json=[event])  # its code and its key are known from here on

        def fail(*_: object, **__: object) -> None:
            raise ValueError("a fault of ours")

        monkeypatch.setattr(intake, "told", fail)
        monkeypatch.setattr(links, "event_of", fail)
        asked = api.post(EVENTS, json=[event]) if path == EVENTS else api.get(link.path, headers=PHONE)
        answer = await asyncio.wait_for(asked, 5)
    assert (answer.status_code, answer.headers["request-id"][:4]) == (500, "req_")


@pytest.mark.parametrize(
    "extra",
    [
        [],
        [("Cookie", "a=1"), ("Cookie", "b=2"), ("Request-Id", "trace-4711-one"), ("Request-Id", "trace-4711-two")],
        [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-For", "5.6.7.8"), ("X-Odd", "\xe4\xff")],
        [("Request-Id", "trace-4711\xe4")],
        [("Purpose", "prefetch")],
    ],
    ids=["plain", "twice", "hops", "odd id", "prefetch"],
)
async def test_both_ways_answer_with_the_same_headers(
    app: FastAPI, merchant: MerchantFixture, link: Link, extra: list[tuple[str, str]]
) -> None:
    headers = [*PHONE.items(), *extra]
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    found = []
    for way in WAYS:
        async with way_to(app, way) as transport, client_by(transport, merchant.test_key) as api:
            await api.post(EVENTS, json=[{"event_id": f"known-{way}", "type": "click", "invite_code": link.code}])
            event = {"event_id": f"own-{way}", "type": "click", "invite_code": link.code}
            answers = [await api.get(f"{link.path}?s=qr&ch=%E5%BE%AE%0D%0Ax", headers=raw)]
            api.cookies.clear()  # the client keeps them for one of the two addresses only
            answers += [await api.get(f"{link.path}?ch=other", headers=raw)]
            answers += [await api.post(EVENTS, json=[event], headers=raw)]
        for answer in answers:
            for changing in ("date", "event-id", "set-cookie", "content-length"):
                if answer.headers.get(changing, "0") != "0":
                    answer.headers[changing] = "changing"
            if answer.headers["request-id"].startswith("req_"):
                answer.headers["request-id"] = "made"
            answer.headers.pop("date", None)
        found.append([(answer.status_code, sorted(answer.headers.multi_items())) for answer in answers])
    assert found[0] == found[1]
