"""Headers of answers that nobody else dresses."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.kit import ids

Headers = list[tuple[bytes, bytes]]
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{8,64}").fullmatch


def request_id(headers: Mapping[bytes, bytes], suffix: str | None) -> bytes:
    """The caller's own, else a new one; `suffix` is that of an id which was made for this request anyway."""
    given = headers.get(b"request-id")
    if given is not None and _REQUEST_ID(given):
        return given
    return b"req_" + suffix.encode() if suffix else ids.new("req").encode()
