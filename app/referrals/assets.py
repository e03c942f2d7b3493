"""Pictures that merchants and participants upload: kept once by content."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from typing import Any

from PIL import Image
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import ids
from app.kit.errors import not_found
from app.models import Asset
from app.poster.pictures import Purpose


async def keep(session: AsyncSession, *, merchant_id: str, purpose: Purpose, content: bytes) -> tuple[Asset, bool]:
    """Store a picture that `Renderer.normalise` made, and whether it is new: the same one again is the same asset."""
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
    added = await session.scalar(insert(Asset).values(row).on_conflict_do_nothing().returning(Asset.id))
    same = (Asset.merchant_id == merchant_id, Asset.purpose == purpose, Asset.digest == digest)
    return (await session.scalars(select(Asset).where(*same))).one(), added is not None


async def require(session: AsyncSession, *, merchant_id: str, asset_id: str) -> None:
    """NotFound `asset_not_found` for an id that is malformed, unknown or another merchant's."""
    own = select(Asset.id).where(Asset.merchant_id == merchant_id, Asset.id == asset_id)
    if not _is_id(asset_id) or await session.scalar(own) is None:
        raise not_found("asset")


async def contents(session: AsyncSession, *, merchant_id: str, asset_ids: Iterable[str]) -> dict[str, bytes]:
    """Encoded pictures by id; what is malformed, unknown or another merchant's is left out."""
    wanted = [asset_id for asset_id in asset_ids if _is_id(asset_id)]
    if not wanted:
        return {}
    found = select(Asset.id, Asset.content).where(Asset.merchant_id == merchant_id, Asset.id.in_(wanted))
    return dict((await session.execute(found)).tuples().all())


def _is_id(text: str) -> bool:
    try:
        ids.decode("ast", text)
    except ValueError:
        return False
    return True


def asset_view(asset: Asset) -> dict[str, Any]:
    return {
        "id": asset.id,
        "object": "asset",
        "purpose": asset.purpose,
        "content_type": asset.content_type,
        "width": asset.width,
        "height": asset.height,
        "size_bytes": len(asset.content),
        "metadata": {},
        "created_at": asset.created_at,
    }
