from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Body as Optionally
from fastapi import Query, Response, status
from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict, JsonValue
from pydantic_core import PydanticCustomError

from app.api.deps import MovesMoney, PageDep, Tenant, TenantDep
from app.api.router import make_router
from app.api.schemas import (
    AmountMinor,
    Answer,
    Body,
    CurrencyCode,
    ExternalId,
    Instant,
    ListAnswer,
    Metadata,
    NonNegativeMinor,
    type_id,
)
from app.api.v1.commissions import CommissionOut
from app.api.v1.refunds import RefundOut
from app.db.pages import Page
from app.orders import queries, service
from app.orders.fulfilment import fulfil
from app.orders.queries import OrderDetail
from app.orders.rules import NewLine, NewOrder
from app.orders.views import order_view

router = make_router("orders")

Nothing = Literal[
    "no_inviter",
    "not_promoter",
    "self_purchase",
    "binding_ended",
    "no_rule",
    "rounds_to_zero",
    "campaign_ended",
    "campaign_not_active",
]
Status = Literal["paid", "partly_refunded", "refunded"]
EXAMPLE: JsonDict = {
    "campaign_id": "cmp_01h2xcejqtf2nbrexx3vqjhp41",
    "participant_id": "ptc_01h2xcejqtf2nbrexx3vqjhp41",
    "external_order_id": "o-1001",
    "amount_minor": 5_900,
    "currency": "CNY",
    "paid_at": "2026-12-01T09:30:00+08:00",
}
LINES: list[JsonValue] = [
    {"external_line_id": "1", "product": "案例集", "amount_minor": 2_900},
    {"external_line_id": "2", "product": "年度会员", "amount_minor": 3_000},
]


class LineIn(Body):
    external_line_id: ExternalId
    product: Annotated[str, Field(max_length=120)] | None = None
    amount_minor: NonNegativeMinor


class OrderIn(Body):
    """Exactly one of `participant_id` and `member_id` names the buyer. Lines, where given, add up to the amount."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE, {**EXAMPLE, "lines": LINES}]})

    campaign_id: Annotated[str, type_id("cmp")]
    participant_id: Annotated[str, type_id("ptc")] | None = None
    member_id: Annotated[str, type_id("mbr")] | None = None
    external_order_id: ExternalId
    amount_minor: Annotated[AmountMinor, Field(description="Goods actually paid: no postage, tax, coupon share.")]
    currency: CurrencyCode
    paid_at: Instant
    lines: list[LineIn] = Field(default_factory=list, max_length=200)
    shipping_minor: NonNegativeMinor = 0
    tax_minor: NonNegativeMinor = 0
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def one_buyer(self) -> Self:
        if (self.participant_id is None) == (self.member_id is None):
            raise PydanticCustomError("buyer_ambiguous", "name the buyer by one of participant_id and member_id")
        return self

    def order(self) -> NewOrder:
        lines = tuple(NewLine(line.external_line_id, line.amount_minor, line.product) for line in self.lines)
        return NewOrder(**{**self.model_dump(exclude={"lines"}), "lines": lines})


class FulfilIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"fulfilled_at": "2026-12-05T18:00:00+08:00"}, {}]})

    fulfilled_at: Annotated[Instant | None, Field(description="Now, where it is left out.")] = None


class LineOut(Answer):
    id: str
    object: Literal["order_line"]
    external_line_id: str
    product: str | None
    amount_minor: int
    refunded_minor: int
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class OfferOut(Answer):
    rule_key: str
    rate_bps: int | None
    amount_minor: int
    arithmetic: str


class ProgressOut(Answer):
    """What direct friends had bought in the campaign when the order came, refunds taken off."""

    orders: int
    amount_minor: int


class PartOut(Answer):
    """One line and level: who, by which rule, what of what; or in `reason` why nothing, or less than the rate."""

    line_id: str
    external_line_id: str
    level: int
    beneficiary_id: str | None
    rule_version: int
    rule_key: Annotated[str | None, Field(description="The rule that won; `default`: the campaign's `levels`.")] = None
    tier: Annotated[str | None, Field(description="The beneficiary's when the order came.")] = None
    tier_progress: ProgressOut | None = None
    base_minor: int
    rate_bps: int | None
    arithmetic: Annotated[str | None, Field(examples=["5900 × 3000 ÷ 10000 = 1770"])]
    amount_minor: int
    reason: Nothing | Literal["rate_cap", "budget", "promoter_budget"] | None
    binding_replaced_at: Annotated[
        datetime | None,
        Field(description="The order was paid before: whoever was the inviter until then is paid."),
    ] = None
    lost: list[OfferOut] = Field(default_factory=list, description="Other rules that matched, the highest first.")


class OrderOut(Answer):
    id: str
    object: Literal["order"]
    campaign_id: str
    participant_id: str
    member_id: str
    external_order_id: str
    amount_minor: int
    refunded_minor: int
    shipping_minor: int
    tax_minor: int
    platform_fee_bps: Annotated[int, Field(description="Of the merchant's plan when the order was recorded.")]
    platform_fee_minor: int
    platform_fee_refunded_minor: int
    currency: str
    status: Status
    paid_at: datetime
    fulfilled_at: datetime | None
    rule_version: int
    lines: list[LineOut]
    commissions: list[CommissionOut]
    explanation: list[PartOut]
    refunds: list[RefundOut]
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


@router.post(
    "/orders",
    response_model=OrderOut,
    status_code=status.HTTP_201_CREATED,
    responses={200: {"model": OrderOut, "description": "The same again: nothing new"}},
    dependencies=[MovesMoney],
)
async def create_order(body: OrderIn, tenant: TenantDep, response: Response) -> dict[str, Any]:
    """A paid order: its two levels of commission are computed, explained and held."""
    found, is_new = await service.create(
        tenant.session, merchant_id=tenant.merchant_id, order=body.order(), now=tenant.now
    )
    response.status_code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
    return _show(tenant, found)


@router.get("/orders", response_model=ListAnswer[OrderOut])
async def list_orders(
    tenant: TenantDep,
    page: PageDep,
    status: Status | None = None,
    external_order_id: Annotated[str | None, Query(max_length=128)] = None,
    campaign_id: Annotated[str, type_id("cmp")] | None = None,
    participant_id: Annotated[str, type_id("ptc")] | None = None,
    member_id: Annotated[str, type_id("mbr")] | None = None,
) -> dict[str, Any]:
    """Orders, newest first."""
    buyer = {"participant_id": participant_id, "member_id": member_id}
    query = page.filtered(status=status, external_order_id=external_order_id, campaign_id=campaign_id, **buyer)
    found = await queries.find_page(tenant.session, merchant_id=tenant.merchant_id, query=query)
    shown = [_show(tenant, one) for one in found.rows]
    return tenant.show_page(Page(shown, found.next_cursor), dict)


@router.get("/orders/{order_id}", response_model=OrderOut)
async def get_order(order_id: str, tenant: TenantDep) -> dict[str, Any]:
    """An order with its lines, commissions, refunds, and the explanation to the last fen."""
    return _show(tenant, await queries.get(tenant.session, merchant_id=tenant.merchant_id, order_id=order_id))


@router.post("/orders/{order_id}/fulfil", response_model=OrderOut, dependencies=[MovesMoney])
async def fulfil_order(
    order_id: str, tenant: TenantDep, body: Annotated[FulfilIn, Optionally(default_factory=FulfilIn)]
) -> dict[str, Any]:
    """The buyer has what was bought: commission that waited for it is held from here on."""
    own = {"merchant_id": tenant.merchant_id, "order_id": order_id}
    return _show(tenant, await fulfil(tenant.session, **own, fulfilled_at=body.fulfilled_at, now=tenant.now))


def _show(tenant: Tenant, found: OrderDetail) -> dict[str, Any]:
    return tenant.show(order_view(found))
