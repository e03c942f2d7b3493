"""Codes on their way out."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from app.kit.errors import Unavailable
from app.referrals.code_senders import HttpSender, SentCode, sender_of
from app.settings import Settings, get_settings

SENT = SentCode("+8613812345678", "042317", datetime(2026, 11, 21, 8, tzinfo=UTC), None)


class Gateway:
    """A real HTTP server that notes what it is sent and answers with `status`."""

    def __init__(self) -> None:
        self.status, self.requests = "204 No Content", []  # type: str, list[bytes]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whoever only knocks, as a neighbour looking for a free port does, is no request.
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.requests.append(head + await reader.readexactly(length))
            writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()


@pytest.fixture
async def gateway() -> AsyncIterator[tuple[Gateway, str]]:
    place = Gateway()
    server = await asyncio.start_server(place.serve, "127.0.0.1", 0)
    async with server:
        yield place, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/codes"


async def test_a_code_is_handed_to_the_gateway_with_its_token(gateway: tuple[Gateway, str]) -> None:
    place, url = gateway
    await HttpSender(url, "s3cret").deliver(SENT)
    head, _, body = place.requests[0].partition(b"\r\n\r\n")
    assert b"authorization: bearer s3cret" in head.lower()
    assert json.loads(body) == {"to": SENT.to, "code": SENT.code, "expires_at": "2026-11-21T08:00:00+00:00"}


async def test_a_gateway_that_refuses_or_is_away_is_said_so(gateway: tuple[Gateway, str]) -> None:
    place, url = gateway
    place.status = "500 Internal Server Error"
    for address in (url, "http://127.0.0.1:9/codes"):
        with pytest.raises(Unavailable, match="code_not_sent"):
            await HttpSender(address, "").deliver(SENT)


@pytest.mark.usefixtures("stack")
def test_only_the_sandbox_shows_codes_and_production_has_none() -> None:
    settings = get_settings()
    assert sender_of(settings).shows_code
    real = settings.model_copy(update={"sms_provider": "http", "sms_url": "https://gateway.example"})
    assert not sender_of(real).shows_code
    secrets = {name: getattr(settings, name) for name in ("secret_key", "encryption_keys", "blind_index_key")}
    urls = {name: getattr(settings, name) for name in ("database_url", "database_system_url", "redis_url")}
    with pytest.raises(ValidationError, match="production needs `http`"):
        Settings(**secrets, **urls, environment="production", sms_provider="sandbox")
