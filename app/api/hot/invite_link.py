"""`/i/{invite_code}`: the link of every invite and poster. Counts, and leads on."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from app.api.errors import asks_for_json
from app.api.hot.answers import rendered, request_id, send_usual, send_whole
from app.api.hot.detour import Detour, nul_byte
from app.api.protocol import answer
from app.api.ratelimit import client_address
from app.kit.errors import NotFound, not_found
from app.resources import Resources
from app.tracking import bots, links, visitors
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = dict(scope["headers"])
        try:
            opened = await links.open_link(self._tracker, self._read(scope, headers), now_us=time.time_ns() // 1_000)
        except Exception as error:  # noqa: BLE001 - it is told and logged there
            if isinstance(error, NotFound) and b"%00" in scope["raw_path"]:
                error = nul_byte()
            if isinstance(error, NotFound) and not asks_for_json(headers.get(b"accept", b"").decode("latin-1")):
                await self._show_unknown(scope, headers, send, started)
            else:
                await self._detour.refuse(error, scope, receive, send)
            return
        head = self._head(opened, headers).encode("latin-1")
        if not answer(scope, head, b""):
            await send_usual(scope, send, head)
        self._detour.count(scope["method"], 302, started)

    def _read(self, scope: Scope, headers: dict[bytes, bytes]) -> Visit:
        method = scope["method"]
        if method != "GET" and method != "HEAD":
            self._detour.check(scope)
        agent = bots.agent_of(headers.get(b"user-agent", b""))
        query = _query(scope["query_string"])
        cookie = headers.get(b"cookie")
        return Visit(
            code=scope["path"][3:],
            is_scan=query.is_scan,
            is_bot=agent.is_bot or method == "HEAD" or bots.is_prefetch(headers),
            channel=query.channel,
            cookie=None if cookie is None else _visitor_cookie(cookie),
            address=self._address(scope, headers.get(b"x-forwarded-for")),
            user_agent=agent.text,
        )

    def _address(self, scope: Scope, said: bytes | None) -> str:
        """As `client_address` has it, with what nearly all requests say at a glance."""
        if self._proxies == 1 and said and b"," not in said and b" " not in said:
            return str(said, "latin-1")
        return client_address(scope, self._proxies)

    def _head(self, opened: Opened, headers: dict[bytes, bytes]) -> str:
        event_id = opened.event_id
        counted = "" if event_id is None else f"event-id: {event_id}\r\n"
        if opened.cookie is not None:
            counted = f"{counted}set-cookie: {_COOKIE}{opened.cookie}{self._attributes}\r\n"
        # One number names both: the request, and the event that it was.
        named = request_id(headers, event_id and event_id[4:])
        location = opened.location
        return f"HTTP/1.1 302 Found\r\nlocation: {location}\r\n{counted}request-id: {named}\r\n{self._always}"

    async def _show_unknown(self, scope: Scope, headers: dict[bytes, bytes], send: Send, started: float) -> None:
        """The page is the same for everybody: whoever tries codes out costs no more than this."""
        head, body = self._unknown
        await send_whole(scope, send, f"{head}request-id: {request_id(headers, None)}\r\n", body)
        self._detour.count(scope["method"], 404, started)


def _unknown_page(detour: Detour) -> tuple[str, bytes]:
    scope = {"type": "http", "method": "GET", "path": "/i/", "query_string": b"", "headers": [], "state": {}}
    response = detour.edge.tell(Request(scope), not_found("invite_code"))
    present = {name for name, _ in response.raw_headers}
    defaults = [pair for pair in detour.edge.defaults.items() if pair[0] not in present]
    return f"HTTP/1.1 404 Not Found\r\n{rendered([*response.raw_headers, *defaults])}", bytes(response.body)


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
