from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.api.deps import NeedsAdmin, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body
from app.orders.providers import credentials
from app.orders.providers.credentials import WechatPaySettings

router = make_router("payments")

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Pem = Annotated[str, Field(min_length=1, max_length=8_000, description="PEM, or the bare base64 of one.")]


class WechatPayIn(Body):
    """A direct merchant (直连商户) with WeChat Pay's public key. All of it is sealed, secrets are never shown again."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "mch_id": "1900000109",
                    "app_id": "wxf636efh567hg4356",
                    "serial_no": "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB",
                    "private_key": "-----BEGIN PRIVATE KEY-----\nMIIE…\n-----END PRIVATE KEY-----",
                    "api_v3_key": "0123456789abcdef0123456789abcdef",
                    "public_key_id": "PUB_KEY_ID_0114232134912410000000000000",
                    "public_key": "-----BEGIN PUBLIC KEY-----\nMIIB…\n-----END PUBLIC KEY-----",
                }
            ]
        }
    )

    mch_id: Name
    app_id: Annotated[Name, Field(description="Of the application whose openids the members have.")]
    serial_no: Annotated[Name, Field(description="Of the merchant's API certificate.")]
    private_key: Pem
    api_v3_key: Annotated[str, Field(pattern=r"^[!-~]{32}$", description="APIv3 密钥.")]
    public_key_id: Annotated[Name, Field(description="Of WeChat Pay's public key.")]
    public_key: Pem
    app_secret: Annotated[
        Annotated[str, Field(pattern=r"^[0-9A-Za-z]{16,64}$")] | None,
        Field(description="AppSecret of the application: by it the page asks WeChat who pays there (网页授权)."),
    ] = None


class ProviderOut(Answer):
    id: Annotated[str, Field(description="The kind: a merchant has one of each.")]
    object: Literal["payment_provider"]
    kind: Literal["wechat"]
    settings: Annotated[dict[str, str], Field(description="Names and numbers; of a secret only that it is `set`.")]
    metadata: dict[str, Any]
    changed_at: datetime
    created_at: datetime
    livemode: bool


class ProvidersOut(Answer):
    object: Literal["list"]
    data: list[ProviderOut]
    has_more: bool
    next_cursor: str | None


@router.get("/payment-providers", response_model=ProvidersOut)
async def list_providers(tenant: TenantDep) -> dict[str, Any]:
    """What live checkouts are paid by. A test tenant's are all paid at the sandbox cashier."""
    row = await credentials.find(tenant.session, merchant_id=tenant.merchant_id)
    shown = [] if row is None else [tenant.show(credentials.view(row))]
    return {"object": "list", "data": shown, "has_more": False, "next_cursor": None}


@router.put("/payment-providers/wechat", response_model=ProviderOut, dependencies=[NeedsAdmin])
async def set_wechat_pay(body: WechatPayIn, tenant: TenantDep) -> dict[str, Any]:
    """Credentials for WeChat Pay, in place of those before."""
    row = await credentials.save(
        tenant.session,
        merchant_id=tenant.merchant_id,
        settings=WechatPaySettings(**body.model_dump()),
        actor_id=tenant.key_id,
        now=tenant.now,
    )
    return tenant.show(credentials.view(row))
