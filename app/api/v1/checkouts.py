from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Query, status
from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.api.deps import MovesMoney, PageDep, Tenant, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, ListAnswer, Metadata, type_id
from app.models import Checkout
from app.orders import checkout as checkouts
from app.orders import checkout_queries as queries
from app.orders import selling
from app.orders.checkout_rules import MOST_PIECES
from app.orders.checkout_views import checkout_view
from app.orders.providers import opening
from app.orders.selling import Wish

router = make_router("checkouts")

Status = Literal["open", "paid", "expired", "failed", "refund_due", "refunded"]


class CheckoutIn(Body):
    """Exactly one of `participant_id` and `member_id` names the buyer, who has joined the campaign."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "campaign_id": "cmp_01h2xcejqtf2nbrexx3vqjhp41",
                    "member_id": "mbr_01h2xcejqtf2nbrexx3vqjhp41",
                    "quantity": 1,
                    "return_url": "https://shop.example.com/thanks",
                }
            ]
        }
    )

    campaign_id: Annotated[str, type_id("cmp")]
    participant_id: Annotated[str, type_id("ptc")] | None = None
    member_id: Annotated[str, type_id("mbr")] | None = None
    quantity: Annotated[int, Field(strict=True, ge=1, le=MOST_PIECES)] = 1
    return_url: Annotated[
        Annotated[str, Field(max_length=500, pattern=r"^https?://[!-~]+$")] | None,
        Field(description="Where the page leads back to."),
    ] = None
    metadata: Metadata = Field(default_factory=dict, description="The order's, too, once it is paid.")

    @model_validator(mode="after")
    def one_buyer(self) -> Self:
        if (self.participant_id is None) == (self.member_id is None):
            raise PydanticCustomError("buyer_ambiguous", "name the buyer by one of participant_id and member_id")
        return self


class CheckoutOut(Answer):
    id: Annotated[str, Field(description="The order's, once it is paid.")]
    object: Literal["checkout"]
    purpose: Literal["order", "plan", "top_up"]
    subject: str | None
    status: Annotated[
        Status,
        Field(description="`refund_due`: paid when nothing could be had for it any more; `refunded`: given back."),
    ]
    reason: Annotated[str | None, Field(description="Why it failed, or why it must be refunded.")]
    campaign_id: str | None
    participant_id: str | None
    member_id: str
    title: str
    quantity: int
    amount_minor: int
    currency: str
    provider: Literal["sandbox", "wechat"]
    external_id: Annotated[str | None, Field(description="The provider's transaction.")]
    pay_url: str
    return_url: str | None
    expires_at: datetime
    paid_at: datetime | None
    refunded_at: datetime | None
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


@router.post("/checkouts", response_model=CheckoutOut, status_code=status.HTTP_201_CREATED, dependencies=[MovesMoney])
async def open_checkout(body: CheckoutIn, tenant: TenantDep) -> dict[str, Any]:
    """Let a buyer pay on our page, within 15 minutes; its stock is held until then."""
    own = {"merchant_id": tenant.merchant_id}
    settings = tenant.resources.settings
    provider = await opening.choose(
        tenant.session, **own, livemode=tenant.livemode, sandbox_for_live=settings.sandbox_for_live
    )
    made = await selling.sell(tenant.session, **own, wish=Wish(**body.model_dump()), provider=provider, now=tenant.now)
    return _show(tenant, made)


@router.get("/checkouts", response_model=ListAnswer[CheckoutOut])
async def list_checkouts(
    tenant: TenantDep,
    page: PageDep,
    status: Status | None = None,
    campaign_id: Annotated[str, type_id("cmp")] | None = None,
    participant_id: Annotated[str, type_id("ptc")] | None = None,
    external_id: Annotated[str | None, Query(max_length=128)] = None,
) -> dict[str, Any]:
    """Checkouts, newest first; those to be refunded by `status=refund_due`."""
    wanted = {
        "status": status,
        "campaign_id": campaign_id,
        "participant_id": participant_id,
        "external_id": external_id,
    }
    found = await queries.find_page(tenant.session, merchant_id=tenant.merchant_id, query=page, equals=wanted)
    return tenant.show_page(found, lambda row: checkout_view(row, public_url=tenant.resources.settings.public_url))


@router.get("/checkouts/{checkout_id}", response_model=CheckoutOut)
async def get_checkout(checkout_id: str, tenant: TenantDep) -> dict[str, Any]:
    """What became of a checkout. Once it is paid, the order is to be had by the same id. What the merchant itself buys,
    a plan or a top-up, is the house's: see `GET /v1/merchant/checkouts/{checkout_id}`."""
    return _show(tenant, await checkouts.get(tenant.session, merchant_id=tenant.merchant_id, checkout_id=checkout_id))


def _show(tenant: Tenant, checkout: Checkout) -> dict[str, Any]:
    return tenant.show(checkout_view(checkout, public_url=tenant.resources.settings.public_url))
