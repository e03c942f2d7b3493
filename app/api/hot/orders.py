"""`POST /v1/orders`: a plain one, as shops send it, is recorded here; all others go the usual way from the start.

What the framework does for a request costs as much as to record an order with its commissions.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import idempotency, json_body
from app.api.deps import require_scope
from app.api.errors import translate
from app.api.hot.detour import Detour, Route
from app.api.hot.events import read_body
from app.api.hot.keys import KeyCache
from app.api.middleware import Edge
from app.api.v1.orders import OrderIn, OrderOut
from app.kit import logging
from app.kit.errors import InvitreeError
from app.kit.objects import in_mode
from app.merchants import keys
from app.merchants.keys import Principal
from app.orders import service
from app.orders.views import order_view
from app.resources import Resources
from app.settings import get_keyring

ORDERS = "/v1/orders"
log = logging.get(__name__)


class Head(NamedTuple):
    authorization: bytes
    key: str


class Answer(NamedTuple):
    status: int
    body: bytes
    is_replay: bool = False


class Orders:
    """`usual`: the framework, for whatever is not plain."""

    def __init__(self, resources: Resources, detour: Detour, usual: ASGIApp) -> None:
        self._db, self._detour, self._usual = resources.db, detour, usual
        self._keys = KeyCache(resources.db, get_keyring())
        self._route = Route(ORDERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = read_head(scope)
        if head is None:
            await self._usual(scope, receive, send)
            return
        try:
            body = await read_body(receive, dict(scope["headers"]))
        except Exception as error:  # noqa: BLE001 - it is told and logged there
            await self._detour.refuse(error, scope, receive, send)
            return
        order = read(body)
        if order is None:
            await self._usual(scope, _again(body, receive), send)
            return
        edge = self._detour.edge
        record = partial(self._record, head, body, order)
        await Edge(record, defaults=edge.defaults, tell=edge.tell)(scope, receive, send)

    async def _record(
        self,
        head: Head,
        body: bytes,
        order: OrderIn,
        scope: Scope,
        receive: Receive,  # noqa: ARG002 - as applications have it
        send: Send,
    ) -> None:
        scope["route"] = self._route
        try:
            answer = await self._answer(head, body, order)
        except Exception as error:
            known = translate(error)
            if known is None or known is error:
                raise
            log.warning("request_refused", code=known.code, error=repr(error))
            raise known from error
        headers = [(b"content-length", str(len(answer.body)).encode()), (b"content-type", b"application/json")]
        if answer.is_replay:
            headers.append((b"idempotency-replayed", b"true"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, head: Head, body: bytes, order: OrderIn) -> Answer:
        """Committed, where it is new."""
        principal = await self._keys.find(head.authorization)
        structlog.contextvars.bind_contextvars(merchant_id=principal.merchant_id, key_id=principal.key_id)
        claim = idempotency.Claim(principal.merchant_id, head.key, idempotency.hash_of(ORDERS, body))
        async with self._db.tenant(principal.merchant_id) as session:
            try:
                principal = await self._enter(session, principal, claim)
            except idempotency.Replay as known:
                return Answer(known.status, known.body, is_replay=True)
            found, is_new = await service.create(
                session, merchant_id=principal.merchant_id, order=order.order(), now=principal.now()
            )
            shown = in_mode(order_view(found), livemode=principal.livemode)
            answer = Answer(201 if is_new else 200, OrderOut.model_validate(shown).model_dump_json().encode())
            await idempotency.keep(session, claim, answer.status, answer.body)
        return answer

    async def _enter(self, session: AsyncSession, principal: Principal, claim: idempotency.Claim) -> Principal:
        """The key as it is now: whom the cache lets in is asked again, in the same breath as for an earlier answer."""
        await idempotency.lock(session, claim)
        fresh = await keys.confirm(session, principal=principal, idempotency_key=claim.key)
        principal = replace(principal, scopes=fresh.scopes, clock_offset_seconds=fresh.clock_offset_seconds)
        require_scope(principal, "write")
        idempotency.judge(claim, fresh.known)
        return principal


def read_head(scope: Scope) -> Head | None:
    """None unless there is all that a plain order comes with, each once."""
    names = [name for name, _ in scope["headers"]]
    if len(set(names)) < len(names):
        return None
    headers = dict(scope["headers"])
    kind, authorization = headers.get(b"content-type", b""), headers.get(b"authorization", b"")
    key = headers.get(b"idempotency-key", b"").decode("latin-1")
    if kind != b"application/json" or not authorization or not idempotency.is_key(key):
        return None
    return Head(authorization, key)


def read(body: bytes) -> OrderIn | None:
    """None for what has to be refused: the usual way says why."""
    try:
        return OrderIn.model_validate(json_body.parse(body))
    except (InvitreeError, ValidationError):
        return None


def _again(body: bytes, receive: Receive) -> Receive:
    """As if it had not been received yet."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again
