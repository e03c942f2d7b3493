from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from fastapi import Response, status

from app.api.deps import TenantDep
from app.api.pictures import PictureDep
from app.api.router import make_router
from app.api.schemas import Answer
from app.poster.pictures import Purpose
from app.referrals import assets

router = make_router("posters")


class AssetOut(Answer):
    id: str
    object: Literal["asset"]
    purpose: Purpose
    content_type: str
    width: int
    height: int
    size_bytes: int
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


@router.post(
    "/assets",
    status_code=status.HTTP_201_CREATED,
    response_model=AssetOut,
    responses={200: {"model": AssetOut, "description": "The same picture again: the same asset"}},
)
async def upload_asset(picture: PictureDep, tenant: TenantDep, response: Response) -> dict[str, Any]:
    """A picture for posters: an avatar (cut to 256 × 256) or a background. What it says of its maker is dropped."""
    asset, created = await assets.keep(
        tenant.session, merchant_id=tenant.merchant_id, purpose=picture.purpose, content=picture.content
    )
    response.status_code = status.HTTP_201_CREATED if created else status.HTTP_200_OK
    return tenant.show(assets.asset_view(asset))
