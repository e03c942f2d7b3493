"""One picture from an address that a merchant gave: bounded in time, size and redirects, each of them checked."""

from __future__ import annotations

import asyncio

import httpx

from app.kit import outward
from app.kit.outward import AddressRefused, Resolve
from app.poster.pictures import MOST_BYTES

TIMEOUT = 5.0
MOST_REDIRECTS = 3
_TYPES = ("image/", "application/octet-stream")
# What may pass by itself; every other refusal of a host stands.
_PASSING = frozenset({408, 421, 425, 429})


class FetchError(Exception):
    """No picture came; `final` where asking again would not help."""

    def __init__(self, reason: str, *, final: bool) -> None:
        super().__init__(reason)
        self.final = final


async def fetch(client: httpx.AsyncClient, url: str, *, development: bool, resolve: Resolve = outward.resolve) -> bytes:
    """Bytes that call themselves a picture; FetchError where none come."""
    try:
        async with asyncio.timeout(TIMEOUT):
            return await _follow(client, url, development, resolve)
    except AddressRefused as error:
        raise FetchError(str(error), final=True) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
        raise FetchError(f"{type(error).__name__}: {error}", final=True) from error
    except (httpx.HTTPError, OSError) as error:
        raise FetchError(f"{type(error).__name__}: {error}", final=False) from error


async def _follow(client: httpx.AsyncClient, url: str, development: bool, resolve: Resolve) -> bytes:
    for _ in range(MOST_REDIRECTS + 1):
        if not url.startswith(("https://", "http://")):
            raise FetchError("The address leads to something else than http.", final=True)
        # Compressed, a small answer may grow without end.
        headers = {"accept": "image/jpeg, image/png, image/webp", "accept-encoding": "identity"}
        request = await outward.request(client, "GET", url, development=development, headers=headers, resolve=resolve)
        answer = await client.send(request, stream=True)
        try:
            if not answer.has_redirect_location:
                return await _read(answer)
            url = str(httpx.URL(url).join(answer.headers["location"]))
        finally:
            await answer.aclose()
    raise FetchError(f"More than {MOST_REDIRECTS} redirects.", final=True)


async def _read(answer: httpx.Response) -> bytes:
    if answer.status_code != httpx.codes.OK:
        passing = answer.status_code >= 500 or answer.status_code in _PASSING
        raise FetchError(f"The host answered {answer.status_code}.", final=not passing)
    kind = answer.headers.get("content-type", "")
    if not kind.lower().startswith(_TYPES) or answer.headers.get("content-encoding", "identity") != "identity":
        raise FetchError(f"The host sent {kind[:60] or 'something without a type'}, no picture.", final=True)
    content = bytearray()
    async for piece in answer.aiter_raw():
        content += piece
        if len(content) > MOST_BYTES:
            raise FetchError(f"More than {MOST_BYTES // 1024 // 1024} MiB.", final=True)
    return bytes(content)
