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
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.json_body import read_strictly
from app.db import driver
from app.db.writing import fresh, write_rows
from app.kit import crypto, ids
from app.kit.errors import BadRequest, Conflict, Unprocessable
from app.merchants.keys import Known
from app.models import IdempotencyKey

_TRY_LOCK = "SELECT pg_try_advisory_xact_lock($1)"
_KNOWN = "SELECT request_hash, status, body FROM idempotency_keys WHERE merchant_id = $1 AND key = $2"
MOST_CHARACTERS = 255
SECRET_FIELDS = frozenset({"secret_key", "test_secret_key", "secret", "sandbox_code"})


@dataclass(frozen=True, slots=True)
class Claim:
    merchant_id: str
    key: str
    request_hash: bytes


class Replay(Exception):
    """Carries the stored answer up to the route, past everything that would do the work again."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status, self.body = status, body

    def response(self) -> Response:
        return Response(self.body, self.status, {"Idempotency-Replayed": "true"}, "application/json")


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
                return replay.response()
            claim = getattr(request.state, "idempotency_claim", None)
            if claim is not None:
                await keep(request.state.session, claim, response.status_code, bytes(response.body))
            return response

        return handle


async def claim(session: AsyncSession, request: Request, merchant_id: str) -> None:
    """Raise `Replay` for a request that was answered before; Conflict while its twin is still running."""
    key = request.headers.get("idempotency-key")
    if key is None or request.method != "POST":
        return
    if not is_key(key):
        raise BadRequest(
            "idempotency_key_invalid", f"Idempotency-Key is 1 to {MOST_CHARACTERS} printable ASCII characters."
        )
    body = _without_boundary(request, request.state.raw_body)
    mine = Claim(merchant_id, key, hash_of(request.url.path, body))
    await lock(session, mine)
    found = await driver.fetch(session, _KNOWN, ids.decode("mch", merchant_id), key)
    judge(mine, Known(*found[0]) if found else None)
    request.state.idempotency_claim = mine


def is_key(text: str) -> bool:
    return 1 <= len(text) <= MOST_CHARACTERS and text.isascii() and text.isprintable()


def hash_of(path: str, body: bytes) -> bytes:
    return crypto.fingerprint(path, body)


def judge(claim: Claim, known: Known | None) -> None:
    """`known`: what was read behind `lock`. Replay; Unprocessable `idempotency_key_reused`."""
    if known is None:
        return
    if known.request_hash != claim.request_hash:
        raise Unprocessable("idempotency_key_reused", "This Idempotency-Key came before with another request.")
    raise Replay(known.status, known.body)


def _without_boundary(request: Request, body: bytes) -> bytes:
    """Clients make up another boundary each time that they send a form: it tells no two bodies apart."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary") if kind == b"multipart/form-data" else None
    return body.replace(b"--" + boundary, b"--") if boundary else body


async def lock(session: AsyncSession, claim: Claim) -> None:
    """Until the transaction ends. Conflict while somebody else has it."""
    (number,) = struct.unpack(">q", crypto.fingerprint("idempotency", claim.merchant_id, claim.key)[:8])
    found = await driver.fetch(session, _TRY_LOCK, number)
    if not found[0][0]:
        raise Conflict(
            "idempotency_in_progress", "The first request with this Idempotency-Key still runs.", retry_after=1
        )


async def keep(session: AsyncSession, claim: Claim, status: int, body: bytes) -> None:
    row = fresh(
        IdempotencyKey,
        merchant_id=claim.merchant_id,
        key=claim.key,
        request_hash=claim.request_hash,
        status=status,
        body=without_secrets(body),
    )
    await write_rows(session, [row])


def without_secrets(body: bytes) -> bytes:
    """A stored answer shows a secret no second time."""
    if not any(f'"{name}"'.encode() in body for name in SECRET_FIELDS):
        return body
    answer = msgspec.json.decode(body)
    return msgspec.json.encode({name: None if name in SECRET_FIELDS else value for name, value in answer.items()})
