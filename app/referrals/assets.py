"""Pictures that merchants and participants upload: checked, normalised, kept once by content."""

from __future__ import annotations

import hashlib
import io
from typing import Any, Literal

from PIL import Image
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import ids
from app.models import Asset
from app.poster import normalise_asset, normalise_avatar

Purpose = Literal["avatar", "background"]
_NORMALISE = {"avatar": normalise_avatar, "background": normalise_asset}


def normalise(content: bytes, purpose: Purpose) -> bytes:
    """CPU-bound, tens of milliseconds: the edges run it off the event loop, outside any transaction."""
    return _NORMALISE[purpose](content)


async def keep(session: AsyncSession, *, merchant_id: str, purpose: Purpose, content: bytes) -> Asset:
    """Store a normalised picture; the same one again is the same asset."""
    digest = hashlib.sha256(content).digest()
    with Image.open(io.BytesIO(content)) as image:
        width, height, kind = image.width, image.height, str(image.get_format_mimetype())
    row = {
        "merchant_id": merchant_id,
        "id": ids.new("ast"),
        "purpose": purpose,
        "content_type": kind,
        "digest": digest,
        "content": content,
        "width": width,
        "height": height,
    }
    await session.execute(insert(Asset).values(row).on_conflict_do_nothing())
    same = (Asset.merchant_id == merchant_id, Asset.purpose == purpose, Asset.digest == digest)
    return (await session.scalars(select(Asset).where(*same))).one()


def asset_view(asset: Asset) -> dict[str, Any]:
    return {
        "id": asset.id,
        "object": "asset",
        "purpose": asset.purpose,
        "content_type": asset.content_type,
        "width": asset.width,
        "height": asset.height,
        "size_bytes": len(asset.content),
        "created_at": asset.created_at,
    }
