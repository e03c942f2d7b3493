from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import status
from pydantic import Field

from app.api.deps import NeedsAdmin, PageDep, Tenant, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, ListAnswer
from app.merchants import keys, queries
from app.merchants.views import key_view, new_key_view, replaced_key_view
from app.settings import get_keyring

router = make_router("API keys")

Scope = Literal["*", "read", "write", "payouts", "admin"]


class KeyIn(Body):
    name: Annotated[str, Field(min_length=1, max_length=80, examples=["订单系统"])]
    scopes: Annotated[
        list[Scope],
        Field(default_factory=lambda: ["*"], min_length=1, max_length=5, examples=[["read", "write"]]),
    ]


class RotateIn(Body):
    expires_in_seconds: Annotated[
        int, Field(strict=True, ge=0, le=30 * 86_400, examples=[86_400], description="Of the old key; 0 ends it now.")
    ] = 86_400


class KeyOut(Answer):
    id: str
    object: Literal["api_key"]
    name: str
    last4: str
    scopes: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class NewKeyOut(KeyOut):
    secret_key: Annotated[str | None, Field(description="Shown once; null where the answer is a repeated one.")]


class RotatedKeyOut(NewKeyOut):
    replaces: str
    old_expires_at: datetime


def _maker(tenant: Tenant) -> keys.Maker:
    return keys.Maker(tenant.key_id, tenant.scopes)


@router.post("/api-keys", status_code=status.HTTP_201_CREATED, response_model=NewKeyOut, dependencies=[NeedsAdmin])
async def create_key(body: KeyIn, tenant: TenantDep) -> dict[str, Any]:
    """A further key of the same mode as the one that asks. Its secret is shown in this answer only."""
    key, secret = await keys.create(
        tenant.session,
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        name=body.name,
        scopes=list(body.scopes),
        maker=_maker(tenant),
        keyring=get_keyring(),
    )
    return tenant.show(new_key_view(key, secret))


@router.get("/api-keys", response_model=ListAnswer[KeyOut])
async def list_keys(tenant: TenantDep, page: PageDep) -> dict[str, Any]:
    """All keys of this mode, ended ones too, newest first."""
    found = await queries.keys_page(tenant.session, merchant_id=tenant.merchant_id, query=page)
    return tenant.show_page(found, key_view)


@router.post(
    "/api-keys/{key_id}/rotate",
    status_code=status.HTTP_201_CREATED,
    response_model=RotatedKeyOut,
    dependencies=[NeedsAdmin],
)
async def rotate_key(key_id: str, body: RotateIn, tenant: TenantDep) -> dict[str, Any]:
    """A new key in place of one, with an overlap in which both work, so that no request fails meanwhile."""
    key, secret, old = await keys.rotate(
        tenant.session,
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        key_id=key_id,
        overlap=timedelta(seconds=body.expires_in_seconds),
        maker=_maker(tenant),
        keyring=get_keyring(),
    )
    return tenant.show(replaced_key_view(key, secret, old))


@router.delete("/api-keys/{key_id}", status_code=status.HTTP_204_NO_CONTENT, dependencies=[NeedsAdmin])
async def revoke_key(key_id: str, tenant: TenantDep) -> None:
    """End a key at once. The last key that could make others cannot be ended."""
    await keys.revoke(tenant.session, merchant_id=tenant.merchant_id, key_id=key_id, maker=_maker(tenant))
