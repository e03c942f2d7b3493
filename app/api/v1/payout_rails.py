from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.api.deps import NeedsAdmin, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body
from app.payouts.rails import credentials
from app.payouts.rails.credentials import AlipaySettings, SandboxSettings, WechatSettings

router = make_router("payout rails")

Kind = Literal["wechat", "alipay", "sandbox"]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Text = Annotated[str, Field(min_length=1, max_length=32)]
Pem = Annotated[str, Field(min_length=1, max_length=8_000, description="PEM, or the bare base64 of one.")]
Share = Annotated[int, Field(strict=True, ge=0, le=10_000)]
Seconds = Annotated[int, Field(strict=True, ge=0, le=30 * 86_400)]
_PRIVATE = "-----BEGIN PRIVATE KEY-----\nMIIE…\n-----END PRIVATE KEY-----"
_PUBLIC = "-----BEGIN PUBLIC KEY-----\nMIIB…\n-----END PUBLIC KEY-----"


class WechatRailIn(Body):
    """Transfer bills of scene 1005 (佣金报酬). All of it is sealed, and the key is never shown again."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "mch_id": "1900000109",
                    "app_id": "wxf636efh567hg4356",
                    "serial_no": "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB",
                    "private_key": _PRIVATE,
                    "public_key_id": "PUB_KEY_ID_0114232134912410000000000000",
                    "public_key": _PUBLIC,
                    "job_type": "推广员",
                    "pay_for": "推广佣金",
                }
            ]
        }
    )

    mch_id: Name
    app_id: Name
    serial_no: Annotated[Name, Field(description="Of the merchant's API certificate.")]
    private_key: Pem
    public_key_id: Annotated[Name, Field(description="Of WeChat Pay's public key.")]
    public_key: Pem
    job_type: Annotated[Text, Field(description="岗位类型, as the scene is reported with.")]
    pay_for: Annotated[Text, Field(description="报酬说明.")]


class AlipayRailIn(Body):
    """Single transfers, signed with RSA2."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"app_id": "2021000000000000", "private_key": _PRIVATE, "alipay_public_key": _PUBLIC}]
        }
    )

    app_id: Name
    private_key: Pem
    alipay_public_key: Pem
    app_cert_sn: Annotated[Name | None, Field(description="Of an application that signs with certificates.")] = None
    root_cert_sn: Name | None = None


class SandboxRailIn(Body):
    """How badly the provider of a test tenant behaves: shares in basis points."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"times_out_bps": 3_000}]})

    times_out_bps: Annotated[Share, Field(description="Carried out, and then no answer.")] = 0
    loses_bps: Annotated[Share, Field(description="The request never arrives.")] = 0
    loses_answers_bps: Annotated[Share, Field(description="A question that gets no answer.")] = 0
    rejects_bps: Share = 0
    asks_payee_bps: Annotated[Share, Field(description="The payee has 24 hours to confirm.")] = 0
    confirms_after_seconds: Annotated[Seconds | None, Field(description="null: the payee never does.")] = 60
    delays_bps: Annotated[Share, Field(description="Taken, and carried out later.")] = 0
    delay_seconds: Seconds = 5


class RailOut(Answer):
    id: Annotated[str, Field(description="The kind: a merchant has one of each.")]
    object: Literal["payout_rail"]
    kind: Kind
    settings: Annotated[dict[str, Any], Field(description="Names and numbers; of a key only that it is `set`.")]
    metadata: dict[str, Any]
    changed_at: datetime
    created_at: datetime
    livemode: bool


class RailsOut(Answer):
    object: Literal["list"]
    data: list[RailOut]
    has_more: bool
    next_cursor: str | None


@router.get("/payout-rails", response_model=RailsOut)
async def list_rails(tenant: TenantDep) -> dict[str, Any]:
    """The providers that payouts can be sent by. A test tenant's are all carried out by the sandbox."""
    known = await credentials.every(tenant.session, merchant_id=tenant.merchant_id)
    shown = [tenant.show(credentials.view(known[kind])) for kind in sorted(known)]
    return {"object": "list", "data": shown, "has_more": False, "next_cursor": None}


@router.put("/payout-rails/wechat", response_model=RailOut, dependencies=[NeedsAdmin])
async def set_wechat_rail(body: WechatRailIn, tenant: TenantDep) -> dict[str, Any]:
    """Credentials for WeChat's transfer bills, in place of those before."""
    return await _set(tenant, WechatSettings(**body.model_dump()))


@router.put("/payout-rails/alipay", response_model=RailOut, dependencies=[NeedsAdmin])
async def set_alipay_rail(body: AlipayRailIn, tenant: TenantDep) -> dict[str, Any]:
    """Credentials for Alipay's single transfers, in place of those before."""
    return await _set(tenant, AlipaySettings(**body.model_dump()))


@router.put("/payout-rails/sandbox", response_model=RailOut, dependencies=[NeedsAdmin])
async def set_sandbox_rail(body: SandboxRailIn, tenant: TenantDep) -> dict[str, Any]:
    """What goes wrong in a test tenant's payouts, from the next call on."""
    return await _set(tenant, SandboxSettings(**body.model_dump()))


async def _set(tenant: TenantDep, settings: credentials.Settings) -> dict[str, Any]:
    row = await credentials.save(
        tenant.session, merchant_id=tenant.merchant_id, settings=settings, actor_id=tenant.key_id, now=tenant.now
    )
    return tenant.show(credentials.view(row))
