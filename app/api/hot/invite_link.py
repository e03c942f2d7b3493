"""`/i/{invite_code}`: the link of every invite and poster. Counts, and leads on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from app.api.errors import asks_for_json
from app.api.hot.answers import rendered, request_id, send_whole
from app.api.hot.detour import Detour, nul_byte
from app.api.protocol import Exchange, Headers
from app.api.ratelimit import client_address
from app.kit.errors import InvitreeError, NotFound, not_found
from app.resources import Resources
from app.tracking import bots, links, visitors
from app.tracking.batcher import News
from app.tracking.hits import Hit
from app.tracking.links import Opened, Visit

INVITE_LINKS = "/i/{invite_code}"
# Of queries like `s=qr&ch=moments` there are few, and anybody may make up long ones.
MOST_QUERIES, MOST_KEPT = 4_096, 128
_COOKIE = f"{visitors.COOKIE}="


class Query(NamedTuple):
    is_scan: bool
    channel: str | None


class InviteLinks:
    def __init__(self, resources: Resources, detour: Detour) -> None:
        self._tracker, self._detour = resources.tracker, detour
        self._proxies = resources.settings.trusted_proxies
        secure = "; Secure" if resources.settings.public_url.startswith("https://") else ""
        self._attributes = f"; HttpOnly; Max-Age={visitors.COOKIE_SECONDS}; Path=/; SameSite=lax{secure}"
        self._always = "content-length: 0\r\n" + rendered(detour.edge.defaults.items())
        self._unknown = _unknown_page(detour)

    def at_once(self, exchange: Exchange, method: bytes, url: bytes, raw_headers: Headers, body: bytes) -> bool:
        """The shorter way of a visit for which nothing has to be looked up, and which is not refused."""
        started = time.perf_counter()
        if method != b"GET" or body or url.find(b"#") >= 0:  # of bytes, `in` tries whether they are a number
            return False
        path, _, query = url.partition(b"?")
        headers = dict(raw_headers)
        # What nearly all requests say, at a glance.
        address = headers.get(b"x-forwarded-for", b"").decode("latin-1") if self._proxies == 1 else ""
        if not address or "," in address or " " in address:
            address = client_address(exchange.client, raw_headers, self._proxies)
        try:
            visit = self._read("GET", path[3:].decode("latin-1"), query, headers, address)
        except InvitreeError:
            return False
        opened = links.open_at_once(self._tracker, visit, now_us=time.time_ns() // 1_000)
        if opened is None:
            return False
        if opened.hit is None:
            self._lead_on(exchange, self._head(opened, None, headers), started)
            return True
        return self._tracker.hand_in(
            (opened.hit,), partial(self._recorded, exchange, opened, opened.hit, headers, started)
        )

    def _recorded(
        self,
        exchange: Exchange,
        opened: Opened,
        hit: Hit,
        headers: Mapping[bytes, bytes],
        started: float,
        new: News | None,
    ) -> None:
        try:
            event_id = links.event_of(hit, is_recorded=new is not None)
            head = self._head(opened, event_id, headers)
        except Exception as error:  # noqa: BLE001 - it is told and logged there
            self._detour.refuse_from_here(error, exchange, "GET", list(headers.items()))
            return
        self._lead_on(exchange, head, started)

    def _lead_on(self, exchange: Exchange, head: bytes, started: float) -> None:
        exchange.answer(head)
        self._detour.count("GET", 302, started)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = dict(scope["headers"])
        try:
            self._detour.check(scope)
            address = client_address(scope["client"], scope["headers"], self._proxies)
            visit = self._read(scope["method"], scope["path"][3:], scope["query_string"], headers, address)
            opened, event_id = await links.open_link(self._tracker, visit, now_us=time.time_ns() // 1_000)
        except Exception as error:  # noqa: BLE001 - it is told and logged there
            if isinstance(error, NotFound) and not asks_for_json(headers.get(b"accept", b"").decode("latin-1")):
                await self._show_unknown(scope, headers, send, started)
            else:
                await self._detour.refuse(error, scope, receive, send)
            return
        await send_whole(scope, send, self._head(opened, event_id, headers))
        self._detour.count(scope["method"], 302, started)

    def _read(self, method: str, code: str, raw_query: bytes, headers: Mapping[bytes, bytes], address: str) -> Visit:
        agent = bots.agent_of(headers.get(b"user-agent", b""))
        query = _query(raw_query)
        cookie = headers.get(b"cookie")
        return Visit(
            code=code,
            is_scan=query.is_scan,
            is_bot=agent.is_bot or method == "HEAD" or bots.is_prefetch(headers),
            channel=query.channel,
            cookie=None if cookie is None else _visitor_cookie(cookie),
            address=address,
            user_agent=agent.text,
        )

    def _head(self, opened: Opened, event_id: str | None, headers: Mapping[bytes, bytes]) -> bytes:
        counted = "" if event_id is None else f"event-id: {event_id}\r\n"
        if opened.cookie is not None:
            counted = f"{counted}set-cookie: {_COOKIE}{opened.cookie}{self._attributes}\r\n"
        # One number names both: the request, and the event that it was.
        named = request_id(headers, event_id and event_id[4:])
        head = f"HTTP/1.1 302 Found\r\nlocation: {opened.location}\r\n{counted}request-id: {named}\r\n{self._always}"
        return head.encode("latin-1")

    async def _show_unknown(self, scope: Scope, headers: dict[bytes, bytes], send: Send, started: float) -> None:
        """The page is the same for everybody: whoever tries codes out costs no more than this."""
        head, body = self._unknown
        named = f"request-id: {request_id(headers, None)}\r\n".encode("latin-1")
        await send_whole(scope, send, head + named, body)
        self._detour.count(scope["method"], 404, started)


def _unknown_page(detour: Detour) -> tuple[bytes, bytes]:
    scope = {"type": "http", "method": "GET", "path": "/i/", "query_string": b"", "headers": [], "state": {}}
    response = detour.edge.tell(Request(scope), not_found("invite_code"))
    present = {name for name, _ in response.raw_headers}
    defaults = [pair for pair in detour.edge.defaults.items() if pair[0] not in present]
    head = f"HTTP/1.1 404 Not Found\r\n{rendered([*response.raw_headers, *defaults])}"
    return head.encode("latin-1"), bytes(response.body)


def _query(raw: bytes) -> Query:
    return _known_query(raw) if len(raw) <= MOST_KEPT else _parse(raw)


def _parse(raw: bytes) -> Query:
    if b"%00" in raw:
        raise nul_byte()
    given = dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True))
    return Query(given.get("s") == "qr", given.get("ch"))


_known_query = lru_cache(MOST_QUERIES)(_parse)


def _visitor_cookie(header: bytes) -> str | None:
    for part in header.decode("latin-1").split(";"):
        pair = part.strip()
        if pair.startswith(_COOKIE):
            return pair[len(_COOKIE) :]
    return None
