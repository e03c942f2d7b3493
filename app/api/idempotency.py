"""`Idempotency-Key`: the first answer is stored in the transaction that made it true, and given again."""

from __future__ import annotations

import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute
from python_multipart.multipart import parse_options_header
from sqlalchemy import bindparam, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.json_body import read_strictly
from app.kit import crypto
from app.kit.errors import BadRequest, Conflict, Unprocessable
from app.models import IdempotencyKey

# Written down once: building a statement takes longer than asking it.
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:number)")
_KNOWN = select(IdempotencyKey.request_hash, IdempotencyKey.status, IdempotencyKey.body).where(
    IdempotencyKey.merchant_id == bindparam("merchant_id"), IdempotencyKey.key == bindparam("key")
)
_TABLE: Any = IdempotencyKey.__table__
_KEEP = insert(_TABLE)
SECRET_FIELDS = frozenset({"secret_key", "test_secret_key", "secret", "sandbox_code"})


@dataclass(slots=True)
class Claim:
    merchant_id: str
    key: str
    request_hash: bytes


class Replay(Exception):
    """Carries the stored answer up to the route, past everything that would do the work again."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.response = Response(body, status, {"Idempotency-Replayed": "true"}, "application/json")


class StrictRoute(APIRoute):
    """Reads JSON strictly; answers a replay; stores a first answer before its transaction commits."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        original = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if request.method not in {"GET", "HEAD"}:
                request.state.raw_body = await read_strictly(request)
            try:
                response = await original(request)
            except Replay as replay:
                return replay.response
            claim = getattr(request.state, "idempotency_claim", None)
            if claim is not None:
                await _remember(request.state.session, claim, response)
            return response

        return handle


async def claim(session: AsyncSession, request: Request, merchant_id: str) -> None:
    """Raise `Replay` for a request that was answered before; Conflict while its twin is still running."""
    key = request.headers.get("idempotency-key")
    if key is None or request.method != "POST":
        return
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise BadRequest("idempotency_key_invalid", "Idempotency-Key is 1 to 255 printable ASCII characters.")
    request_hash = crypto.fingerprint(request.url.path, _without_boundary(request, request.state.raw_body))
    await _lock(session, merchant_id, key)
    known = (await session.execute(_KNOWN, {"merchant_id": merchant_id, "key": key})).one_or_none()
    if known is None:
        request.state.idempotency_claim = Claim(merchant_id, key, request_hash)
    elif known.request_hash != request_hash:
        raise Unprocessable("idempotency_key_reused", "This Idempotency-Key came before with another request.")
    else:
        raise Replay(known.status, known.body)


def _without_boundary(request: Request, body: bytes) -> bytes:
    """Clients make up another boundary each time that they send a form: it tells no two bodies apart."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary") if kind == b"multipart/form-data" else None
    return body.replace(b"--" + boundary, b"--") if boundary else body


async def _lock(session: AsyncSession, merchant_id: str, key: str) -> None:
    (number,) = struct.unpack(">q", crypto.fingerprint("idempotency", merchant_id, key)[:8])
    mine = await session.scalar(_TRY_LOCK, {"number": number})
    if not mine:
        raise Conflict(
            "idempotency_in_progress", "The first request with this Idempotency-Key still runs.", retry_after=1
        )


async def _remember(session: AsyncSession, claim: Claim, response: Response) -> None:
    row = {
        "merchant_id": claim.merchant_id,
        "key": claim.key,
        "request_hash": claim.request_hash,
        "status": response.status_code,
        "body": without_secrets(bytes(response.body)),
    }
    await session.execute(_KEEP, row)


def without_secrets(body: bytes) -> bytes:
    """A stored answer shows a secret no second time."""
    if not any(f'"{name}"'.encode() in body for name in SECRET_FIELDS):
        return body
    answer = msgspec.json.decode(body)
    return msgspec.json.encode({name: None if name in SECRET_FIELDS else value for name, value in answer.items()})
