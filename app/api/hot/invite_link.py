"""`/i/{invite_code}`: the link of every invite and poster. Counts, and leads on."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from app.api.errors import asks_for_json
from app.api.hot.answers import Headers, request_id
from app.api.hot.detour import Detour
from app.api.ratelimit import client_address
from app.kit.errors import NotFound, not_found
from app.resources import Resources
from app.tracking import bots, links, visitors
from app.tracking.links import Opened, Visit

INVITE_LINKS = "/i/{invite_code}"
# Of queries like `s=qr&ch=moments` there are few, and anybody may make up long ones.
MOST_QUERIES, MOST_KEPT = 4_096, 128
_COOKIE = f"{visitors.COOKIE}="
_NO_BODY = {"type": "http.response.body", "body": b""}


class Query(NamedTuple):
    is_scan: bool
    channel: str | None


class InviteLinks:
    def __init__(self, resources: Resources, detour: Detour) -> None:
        self._tracker, self._detour = resources.tracker, detour
        self._proxies = resources.settings.trusted_proxies
        secure = "; Secure" if resources.settings.public_url.startswith("https://") else ""
        self._attributes = f"; HttpOnly; Max-Age={visitors.COOKIE_SECONDS}; Path=/; SameSite=lax{secure}"
        self._always: Headers = [(b"content-length", b"0"), *detour.edge.defaults.items()]
        self._unknown = _unknown_page(detour)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = dict(scope["headers"])
        try:
            self._detour.check(scope)
            opened = await links.open_link(self._tracker, self._read(scope, headers), now_us=time.time_ns() // 1_000)
        except Exception as error:  # noqa: BLE001 - it is told and logged there
            if isinstance(error, NotFound) and not asks_for_json(headers.get(b"accept", b"").decode("latin-1")):
                await self._show_unknown(scope, headers, send, started)
            else:
                await self._detour.refuse(error, scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 302, "headers": self._dress(opened, headers)})
        await send(_NO_BODY)
        self._detour.count(scope["method"], 302, started)

    def _read(self, scope: Scope, headers: dict[bytes, bytes]) -> Visit:
        agent = headers.get(b"user-agent", b"").decode("latin-1")
        query = _query(scope["query_string"])
        cookie = headers.get(b"cookie")
        return Visit(
            code=scope["path"][3:],
            is_scan=query.is_scan,
            is_bot=scope["method"] == "HEAD" or bots.is_bot(agent) or bots.is_prefetch(headers),
            channel=query.channel,
            cookie=None if cookie is None else _visitor_cookie(cookie),
            address=client_address(scope, self._proxies),
            user_agent=agent,
        )

    def _dress(self, opened: Opened, headers: dict[bytes, bytes]) -> Headers:
        event_id = opened.event_id
        answer = [(b"location", opened.location.encode())]
        if event_id is not None:
            answer.append((b"event-id", event_id.encode()))
        if opened.cookie is not None:
            answer.append((b"set-cookie", f"{_COOKIE}{opened.cookie}{self._attributes}".encode()))
        # One number names both: the request, and the event that it was.
        answer.append((b"request-id", request_id(headers, event_id and event_id[4:])))
        answer += self._always
        return answer

    async def _show_unknown(self, scope: Scope, headers: dict[bytes, bytes], send: Send, started: float) -> None:
        """The page is the same for everybody: whoever tries codes out costs no more than this."""
        page, body = self._unknown
        answer = [*page, (b"request-id", request_id(headers, None))]
        await send({"type": "http.response.start", "status": 404, "headers": answer})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
        self._detour.count(scope["method"], 404, started)


def _unknown_page(detour: Detour) -> tuple[Headers, bytes]:
    scope = {"type": "http", "method": "GET", "path": "/i/", "query_string": b"", "headers": [], "state": {}}
    response = detour.edge.tell(Request(scope), not_found("invite_code"))
    present = {name for name, _ in response.raw_headers}
    defaults = [pair for pair in detour.edge.defaults.items() if pair[0] not in present]
    return [*response.raw_headers, *defaults], bytes(response.body)


def _query(raw: bytes) -> Query:
    return _known_query(raw) if len(raw) <= MOST_KEPT else _parse(raw)


def _parse(raw: bytes) -> Query:
    given = dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True))
    return Query(given.get("s") == "qr", given.get("ch"))


_known_query = lru_cache(MOST_QUERIES)(_parse)


def _visitor_cookie(header: bytes) -> str | None:
    for part in header.decode("latin-1").split(";"):
        pair = part.strip()
        if pair.startswith(_COOKIE):
            return pair[len(_COOKIE) :]
    return None
