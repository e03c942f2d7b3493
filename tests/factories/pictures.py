"""Pictures to upload."""

from __future__ import annotations

import io
from typing import Any

import httpx
from PIL import Image


def picture(colour: str = "#C02020", size: tuple[int, int] = (400, 300), form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, form)
    return out.getvalue()


async def upload(
    api: httpx.AsyncClient, content: bytes | None = None, purpose: str = "avatar", *, key: str | None = None
) -> httpx.Response:
    files = {"file": ("picture.png", picture() if content is None else content, "image/png")}
    headers = {"Idempotency-Key": key} if key else {}
    return await api.post("/v1/assets", files=files, data={"purpose": purpose}, headers=headers)


async def make_asset(api: httpx.AsyncClient, colour: str = "#C02020", purpose: str = "avatar") -> dict[str, Any]:
    answer = await upload(api, picture(colour), purpose)
    assert answer.status_code == 201, answer.text
    asset: dict[str, Any] = answer.json()
    return asset
