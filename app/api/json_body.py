"""Reading JSON strictly: what Postgres could not keep is refused at the edge, by name."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from fastapi import Request

from app.kit.errors import BadRequest, Unprocessable

_SUSPECT = re.compile(rb"\\u0000|\\u[dD][89a-fA-F]")
MAX_DEPTH = 32


async def read_strictly(request: Request) -> bytes:
    """The raw body; a JSON one is parsed once, here, and handed on to the framework."""
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and (kind == "application/json" or kind.endswith("+json")):
        request._json = parse(body)  # where Starlette keeps it: it must not be parsed again, laxly
    return body


def parse(body: bytes) -> Any:
    value = _decode(body)
    _walk(value, 0, strings=is_suspect(body))
    return value


def parse_leniently(body: bytes) -> Any:
    """Whatever is valid JSON, also what cannot be stored, as an emoji cut in half: `check` tells."""
    try:
        return _decode(body)
    except BadRequest:
        if not is_suspect(body):
            raise
    try:
        return json.loads(body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise _unreadable() from None


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise _unreadable() from None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _unreadable() -> BadRequest:
    return BadRequest("json_invalid", "The body is not valid JSON (RFC 8259, UTF-8).")


def check(value: Any) -> None:
    """Unprocessable `nul_byte`, `text_not_unicode`, `json_too_deep`."""
    _walk(value, 0, strings=True)


def is_suspect(body: bytes) -> bool:
    """Whether texts in it may be such as Postgres cannot keep."""
    return body.find(b"\\u") >= 0 and _SUSPECT.search(body) is not None


def _walk(value: Any, depth: int, *, strings: bool) -> None:
    if depth > MAX_DEPTH:
        raise Unprocessable("json_too_deep", f"The body is nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, dict):
        for key, child in value.items():
            if strings:
                check_text(key)
            _walk(child, depth + 1, strings=strings)
    elif isinstance(value, list):
        for child in value:
            _walk(child, depth + 1, strings=strings)
    elif strings and isinstance(value, str):
        check_text(value)


def check_text(text: str) -> str:
    """The text, where Postgres can keep it; Unprocessable `nul_byte` or `text_not_unicode`."""
    if "\0" in text:
        raise Unprocessable("nul_byte", "A text holds a NUL byte, which cannot be stored.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unprocessable("text_not_unicode", "A text holds half of a surrogate pair.") from None
    return text
