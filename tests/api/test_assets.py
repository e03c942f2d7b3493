"""Uploads: what is taken, what is refused and how, and that the same picture is kept once."""

from __future__ import annotations

import asyncio
import io
import struct
import zlib
from typing import Any

import httpx
import pytest
from PIL import Image
from sqlalchemy import func, select

from app.models import Asset
from app.poster.pictures import Purpose
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.pictures import picture, upload


def png_that_says(width: int, height: int) -> bytes:
    """A PNG of few bytes that unpacks to many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class Watched:
    """A renderer that tells whether the application holds a transaction while it works."""

    def __init__(self, resources: Resources) -> None:
        self.resources, self.held = resources, -1
        self.renderer = resources.renderer

    async def normalise(self, content: bytes, purpose: Purpose) -> bytes:
        engines = self.resources.db.app_engine, self.resources.db.system_engine
        pools: list[Any] = [engine.pool for engine in engines]
        self.held = sum(pool.checkedout() for pool in pools)
        return await self.renderer.normalise(content, purpose)


async def count(resources: Resources, merchant: MerchantFixture) -> int:
    async with resources.db.tenant(merchant.test_id) as session:
        return await session.scalar(select(func.count()).select_from(Asset)) or 0


async def test_an_avatar_is_kept_as_a_small_square(api: httpx.AsyncClient) -> None:
    made = await upload(api, picture(size=(900, 500)))
    assert made.status_code == 201
    asset = made.json()
    assert asset["id"].startswith("ast_")
    told = {name: asset[name] for name in ("object", "purpose", "content_type", "width", "height", "livemode")}
    assert told == {
        "object": "asset",
        "purpose": "avatar",
        "content_type": "image/jpeg",
        "width": 256,
        "height": 256,
        "livemode": False,
    }
    assert 0 < asset["size_bytes"] < 20_000


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
async def test_a_background_keeps_its_proportions(api: httpx.AsyncClient, form: str) -> None:
    made = await api.post("/v1/assets", files={"file": picture(size=(2000, 1000), form=form)})
    assert made.status_code == 201
    assert (made.json()["purpose"], made.json()["width"], made.json()["height"]) == ("background", 1080, 540)


async def test_the_same_picture_again_is_the_same_asset(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    first, second = await upload(api), await upload(api)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    other = await upload(api, purpose="background")
    assert other.status_code == 201
    assert other.json()["id"] != first.json()["id"]
    assert await count(resources, merchant) == 2


async def test_the_same_picture_many_times_at_once_is_kept_once(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    answers = await asyncio.gather(*(upload(api) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await count(resources, merchant) == 1


async def test_another_merchant_has_an_asset_of_its_own(api: httpx.AsyncClient, live_api: httpx.AsyncClient) -> None:
    mine, theirs = await upload(api), await upload(live_api)
    assert mine.status_code == theirs.status_code == 201
    assert mine.json()["id"] != theirs.json()["id"]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "picture_empty"),
        (b"<svg onload='alert(1)'/>", 422, "picture_format_unsupported"),
        (b"GIF89a" + bytes(40), 422, "picture_format_unsupported"),
        (picture()[:60], 422, "picture_damaged"),
        (picture(form="JPEG")[:-200], 422, "picture_damaged"),
        (png_that_says(300, 300), 422, "picture_damaged"),
        (png_that_says(40_000, 40_000), 422, "picture_too_many_pixels"),
        (picture(size=(8, 300)), 422, "picture_too_small"),
        (picture(form="JPEG") + bytes(5 * 1024 * 1024), 413, "picture_too_large"),
        (bytes(6 * 1024 * 1024), 413, "body_too_large"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else str(value),
)
async def test_a_bad_picture_is_refused_by_its_code(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources, content: bytes, status: int, code: str
) -> None:
    for purpose in ("avatar", "background"):
        refused = await upload(api, content, purpose)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert await count(resources, merchant) == 0


async def test_what_the_part_says_of_its_kind_counts_for_nothing(api: httpx.AsyncClient) -> None:
    lie = await api.post("/v1/assets", files={"file": ("a.png", b"%PDF-1.7", "image/png")})
    assert (lie.status_code, lie.json()["code"]) == (422, "picture_format_unsupported")
    true = await api.post("/v1/assets", files={"file": ("a.exe", picture(form="JPEG"), "application/x-msdownload")})
    assert (true.status_code, true.json()["content_type"]) == (201, "image/jpeg")


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"data": {"purpose": "avatar"}}, "/file"),
        ({"files": {"picture": picture()}}, "/file"),
        ({"data": {"purpose": "avatar", "file": "no file"}}, "/file"),
        ({"files": {"file": picture()}, "data": {"purpose": "logo"}}, "/purpose"),
    ],
    ids=["nothing", "another name", "text", "purpose"],
)
async def test_a_form_that_does_not_fit_is_pointed_at(
    api: httpx.AsyncClient, sent: dict[str, Any], pointer: str
) -> None:
    refused = await api.post("/v1/assets", **sent)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")
    assert pointer in [error["pointer"] for error in refused.json()["errors"]]


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x", "application/json"])
async def test_a_form_that_cannot_be_read_is_told(api: httpx.AsyncClient, kind: str) -> None:
    refused = await api.post("/v1/assets", content=b"--y\r\nnonsense", headers={"Content-Type": kind})
    assert refused.status_code in {400, 422}
    assert refused.json()["code"] in {"request_unreadable", "validation_failed", "json_invalid"}


async def test_a_retry_with_its_key_gets_the_first_answer_though_forms_differ_in_their_boundary(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    first, again = await upload(api, key="k1"), await upload(api, key="k1")
    assert first.request.headers["content-type"] != again.request.headers["content-type"]
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    for other in (await upload(api, picture("#00C000"), key="k1"), await upload(api, purpose="background", key="k1")):
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await count(resources, merchant) == 1


async def test_no_picture_is_decoded_without_a_key(
    http: httpx.AsyncClient, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(resources)
    monkeypatch.setattr(resources, "renderer", watched)
    assert (await upload(http)).status_code == 401
    assert watched.held == -1


async def test_no_transaction_is_held_while_a_picture_is_decoded(
    api: httpx.AsyncClient, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(resources)
    monkeypatch.setattr(resources, "renderer", watched)
    assert (await upload(api)).status_code == 201
    assert watched.held == 0


async def test_a_picture_tells_nothing_of_its_maker(
    api: httpx.AsyncClient, merchant: MerchantFixture, resources: Resources
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Secret Camera"
    out = io.BytesIO()
    Image.new("RGB", (60, 60)).save(out, "JPEG", exif=exif, comment=b"taken at home")
    await upload(api, out.getvalue(), "background")
    async with resources.db.tenant(merchant.test_id) as session:
        content = (await session.scalars(select(Asset.content))).one()
    assert b"Secret" not in content
    assert b"home" not in content
