from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import status
from pydantic import ConfigDict, Field

from app.api.deps import AccountDep, MovesMoney, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, CurrencyCode
from app.api.v1.checkouts import CheckoutOut
from app.kit import clock
from app.merchants import buying, funding
from app.merchants.views import funding_view
from app.orders.checkout_views import checkout_view

router = make_router("funding")


class TopUpIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"amount_minor": 100_000, "currency": "CNY"}]})

    amount_minor: Annotated[int, Field(strict=True, ge=100, le=100_000_000, description="1 to 1,000,000 yuan.")]
    currency: Literal["CNY"] = "CNY"


class OwedOut(Answer):
    pending_minor: int
    held_minor: int
    payable_minor: int
    in_payout_minor: int


class FundingOut(Answer):
    id: Annotated[str, Field(description="The merchant's.")]
    object: Literal["merchant_funding"]
    mode: Annotated[
        Literal["own", "prepaid"],
        Field(description="`own`: promoters are paid from accounts of the merchant's own. The platform sets it."),
    ]
    currency: str
    funds_minor: Annotated[int, Field(description="Paid in by top-ups and in-tool sales, not put aside, not spent.")]
    reserved_minor: Annotated[int, Field(description="Put aside for payouts that are approved.")]
    spent_minor: int
    owed_fees_minor: Annotated[int, Field(description="Platform fees of all orders, refunds taken off.")]
    available_minor: Annotated[int, Field(description="`funds_minor` less `owed_fees_minor`; may be below zero.")]
    owed_to_promoters_minor: int
    owed_to_promoters: OwedOut
    metadata: dict[str, Any]
    created_at: Annotated[datetime, Field(description="When it stood so.")]
    livemode: bool


@router.get("/merchant/funding", response_model=FundingOut)
async def get_funding(tenant: TenantDep, currency: CurrencyCode = "CNY") -> dict[str, Any]:
    """What the merchant has paid in, what is put aside, and what it owes; each movement is in its statement."""
    found = await funding.standing(tenant.session, merchant_id=tenant.merchant_id, currency=currency)
    return tenant.show(funding_view(found, merchant_id=tenant.merchant_id, now=tenant.now))


@router.post(
    "/merchant/top-ups", response_model=CheckoutOut, status_code=status.HTTP_201_CREATED, dependencies=[MovesMoney]
)
async def top_up(body: TopUpIn, tenant: AccountDep) -> dict[str, Any]:
    """A checkout of the house, to be paid at its `pay_url`; the funds are there with the payment. What became of it:
    `GET /v1/merchant/checkouts/{checkout_id}`."""
    settings, now = tenant.resources.settings, clock.utcnow()
    opened = await buying.open_top_up(
        tenant.session,
        merchant_id=tenant.merchant_id,
        **body.model_dump(),
        sandbox_for_live=settings.sandbox_for_live,
        now=now,
    )
    return tenant.show(checkout_view(opened, public_url=settings.public_url))
