"""`POST /v1/events`: what a merchant's own pages saw, up to 500 at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.api import json_body
from app.api.deps import require_scope
from app.api.hot.answers import rendered, request_id, send_whole
from app.api.hot.detour import Detour
from app.api.hot.keys import KeyCache
from app.api.middleware import MAX_BODY, Incoming
from app.api.protocol import Exchange, Headers
from app.kit import ids
from app.kit.errors import FieldError, InvitreeError, Unprocessable
from app.resources import Resources
from app.settings import get_keyring
from app.tracking import intake, items
from app.tracking.batcher import News
from app.tracking.hits import Hit
from app.tracking.items import MOST_ITEMS, EventIn, EventOut

EVENTS = "/v1/events"
_URL = EVENTS.encode()
# Bytes. Larger ones take milliseconds to judge: one a turn of the loop, so that clicks come between.
LARGE = 16 * 1024
T = TypeVar("T")


class EventsOut(msgspec.Struct, frozen=True, kw_only=True):
    """An answer for each item, in their order."""

    object: str = "list"
    data: Sequence[EventOut]
    livemode: bool


_encode = msgspec.json.Encoder().encode


class Events:
    def __init__(self, resources: Resources, detour: Detour) -> None:
        self._tracker, self._detour = resources.tracker, detour
        self._keys = KeyCache(resources.db, get_keyring())
        always = [(b"content-type", b"application/json"), *detour.edge.defaults.items()]
        self._turn = asyncio.Lock()
        self._always = f"HTTP/1.1 200 OK\r\n{rendered(always)}"

    def at_once(self, exchange: Exchange, method: bytes, url: bytes, raw_headers: Headers, body: bytes) -> bool:
        """The shorter way of a delivery that is known to be welcome, of events for which nothing is to be looked up."""
        started = time.perf_counter()
        if method != b"POST" or url != _URL or len(body) > LARGE:
            return False
        headers = dict(raw_headers)
        principal = self._keys.at_hand(headers.get(b"authorization"))
        if principal is None or not principal.may("write"):
            return False
        try:
            given = read(body, headers.get(b"content-type", b""))
        except InvitreeError:
            return False
        received_us = time.time_ns() // 1_000
        judged = intake.judge_at_once(self._tracker, given, merchant_id=principal.merchant_id, received_us=received_us)
        if judged is None or not (hits := intake.hits_of(judged)):
            return False
        tell = partial(self._recorded, exchange, judged, hits[0], headers, principal.livemode, started)
        return self._tracker.hand_in(hits, tell)

    def _recorded(
        self,
        exchange: Exchange,
        judged: Sequence[intake.Judgement],
        first: Hit,
        headers: Mapping[bytes, bytes],
        livemode: bool,
        started: float,
        new: News | None,
    ) -> None:
        try:
            # One number names both: the request, and the first event that it brought.
            named = request_id(headers, ids.encode_in_turn("evt", first.id)[4:])
            head, body = self._answer(intake.told(judged, new), named, livemode=livemode)
        except Exception as error:  # noqa: BLE001 - it is told and logged there
            self._detour.refuse_from_here(error, exchange, "POST", list(headers.items()))
            return
        exchange.answer(head, body)
        self._detour.count("POST", 200, started)

    def _answer(self, answers: Sequence[EventOut], named: str, *, livemode: bool) -> tuple[bytes, bytes]:
        """Head and body."""
        body = _encode(EventsOut(data=answers, livemode=livemode))
        head = f"{self._always}content-length: {len(body)}\r\nrequest-id: {named}\r\n"
        return head.encode("latin-1"), body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = dict(scope["headers"])
        try:
            self._detour.check(scope)
            answers, livemode = await self._take(headers, receive)
        except Exception as error:  # noqa: BLE001 - it is told and logged there
            await self._detour.refuse(error, scope, receive, send)
            return
        head, body = self._answer(answers, request_id(headers, None), livemode=livemode)
        await send_whole(scope, send, head, body)
        self._detour.count("POST", 200, started)

    async def _take(self, headers: Mapping[bytes, bytes], receive: Receive) -> tuple[Sequence[EventOut], bool]:
        """An answer for each event, and whether they are live ones."""
        principal = await self._keys.find(headers.get(b"authorization"))
        require_scope(principal, "write")
        body = await read_body(receive, headers)
        if len(body) > LARGE:
            async with self._turn:
                await asyncio.sleep(0)
        given = read(body, headers.get(b"content-type", b""))
        answers = await intake.take(
            self._tracker, given, merchant_id=principal.merchant_id, received_us=time.time_ns() // 1_000
        )
        return answers, principal.livemode


async def read_body(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
    incoming = Incoming(receive, MAX_BODY)
    incoming.check_length(headers.get(b"content-length"))
    parts = []
    while not incoming.is_whole:
        message = await incoming.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read(body: bytes, content_type: bytes) -> Sequence[EventIn | EventOut]:
    """The items, the bad ones as their refusals. BadRequest or Unprocessable where there are none to be told apart."""
    if body and content_type != b"application/json":
        _check_kind(content_type)
    if not json_body.is_suspect(body):
        try:
            return _not_too_many(items.read_all(body))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # told below: which item, or that it is no JSON at all
    given = json_body.parse_leniently(body) if body else None
    if not isinstance(given, list):
        raise _unfit("list_type" if body else "missing", "Input should be a valid list" if body else "Field required")
    return [_read_one(item) for item in _not_too_many(given)]


def _read_one(item: object) -> EventIn | EventOut:
    """A text that cannot be stored, or a value that is too deep, spoils its own item alone."""
    try:
        json_body.check(item)
    except Unprocessable as error:
        return items.refused(item, error.code, error.detail)
    return items.read(item)


def _check_kind(content_type: bytes) -> None:
    kind = content_type.partition(b";")[0].strip().lower()
    if kind != b"application/json" and not kind.endswith(b"+json"):
        raise Unprocessable("content_type_unexpected", "The body is JSON: send it with Content-Type application/json.")


def _not_too_many(given: list[T]) -> list[T]:
    if len(given) > MOST_ITEMS:
        raise _unfit("too_long", f"List should have at most {MOST_ITEMS} items, not {len(given)}")
    return given


def _unfit(code: str, detail: str) -> Unprocessable:
    return Unprocessable("validation_failed", f"body: {detail}", errors=[FieldError("", code, detail)])
