from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.api.deps import NeedsPayouts, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, type_id
from app.payouts import terms
from app.payouts.rules import FeeBearer, Terms

router = make_router("payout settings")


class SettingsIn(Body):
    """For withdrawals from now on. Of the least withdrawal at least 0.10 has to go out, which every rail takes."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"minimum_minor": 1_000, "fee_minor": 20, "fee_bearer": "payee"}]}
    )

    minimum_minor: Annotated[int, Field(strict=True, ge=10, le=100_000_000)] = 100
    fee_minor: Annotated[int, Field(strict=True, ge=0, le=1_000_000, description="Of each payout …")] = 0
    fee_bps: Annotated[int, Field(strict=True, ge=0, le=1_000, description="… and this much of its amount.")] = 0
    fee_bearer: Annotated[FeeBearer, Field(description="`payee`: the fee is withheld, and the net goes out.")] = (
        "merchant"
    )
    user_id: Annotated[
        Annotated[str, type_id("usr")] | None, Field(description="Without it the API key is written down.")
    ] = None

    def terms(self) -> Terms:
        return Terms(**self.model_dump(exclude={"user_id"}))


class SettingsOut(Answer):
    object: Literal["payout_settings"]
    minimum_minor: int
    fee_minor: int
    fee_bps: int
    fee_bearer: FeeBearer
    metadata: dict[str, Any]
    livemode: bool


@router.get("/payout-settings", response_model=SettingsOut)
async def get_settings(tenant: TenantDep) -> dict[str, Any]:
    """The least withdrawal, the fee of a payout, and who bears it."""
    return tenant.show(terms.view(await terms.get(tenant.session, merchant_id=tenant.merchant_id)))


@router.put("/payout-settings", response_model=SettingsOut, dependencies=[NeedsPayouts])
async def put_settings(body: SettingsIn, tenant: TenantDep) -> dict[str, Any]:
    """In place of what was there. What was asked for before keeps the fee that was agreed then."""
    who = {"merchant_id": tenant.merchant_id, "actor_id": body.user_id or tenant.key_id}
    return tenant.show(terms.view(await terms.change(tenant.session, **who, terms=body.terms(), now=tenant.now)))
