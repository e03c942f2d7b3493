from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Response, status
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict, JsonValue

from app.api.deps import MovesMoney, PageDep, TenantDep
from app.api.router import make_router
from app.api.schemas import (
    AmountMinor,
    Answer,
    Body,
    CurrencyCode,
    ExternalId,
    Instant,
    ListAnswer,
    NonNegativeMinor,
    type_id,
)
from app.orders import queries, refunds
from app.orders.rules import NewLine, NewRefund
from app.orders.views import refund_view

router = make_router("refunds")

RefundStatus = Literal["parked", "applied", "refused"]
Payback = Literal["due", "processing", "unknown", "refused", "parked", "refunded", "paid_otherwise"]
LINES: list[JsonValue] = [{"external_line_id": "1", "amount_minor": 2_900}]
PARTIAL: JsonDict = {"external_refund_id": "r-2001", "amount_minor": 2_900}


class RefundLineIn(Body):
    external_line_id: ExternalId
    amount_minor: NonNegativeMinor


class RefundIn(Body):
    """Without `lines` the amount is spread over all of them, in proportion to what was not refunded by name. Refunds of
    one order end alike in whatever order they come; so one by name may move some of what came without."""

    model_config = ConfigDict(json_schema_extra={"examples": [PARTIAL, {**PARTIAL, "lines": LINES}]})

    external_refund_id: ExternalId
    amount_minor: AmountMinor
    currency: Annotated[CurrencyCode | None, Field(description="The order's, where it is left out.")] = None
    refunded_at: Annotated[Instant | None, Field(description="Now, where it is left out.")] = None
    lines: list[RefundLineIn] = Field(default_factory=list, max_length=200)

    def refund(self) -> NewRefund:
        lines = tuple(NewLine(line.external_line_id, line.amount_minor) for line in self.lines)
        return NewRefund(self.external_refund_id, self.amount_minor, self.currency, self.refunded_at, lines)


class ExternalRefundIn(RefundIn):
    model_config = ConfigDict(json_schema_extra={"examples": [{"external_order_id": "o-1001", **PARTIAL}]})

    external_order_id: ExternalId


class RefundLineOut(Answer):
    """What the refund took of a line."""

    external_line_id: str
    amount_minor: int


class RefundOut(Answer):
    """`parked` until its order comes; `refused` where it did not fit then, with the code in `refusal`."""

    id: str
    object: Literal["refund"]
    order_id: str | None
    checkout_id: Annotated[
        str | None,
        Field(description="Of a payment without an order: a top-up, or money that came too late to buy anything."),
    ]
    external_order_id: str
    external_refund_id: str
    amount_minor: int
    currency: str | None
    lines: list[RefundLineOut]
    status: RefundStatus
    refusal: str | None
    refunded_at: datetime
    payback: Annotated[
        Payback | None,
        Field(
            description="Of what was paid on our page: what its provider, who is asked until it is `refunded`, says of "
            "giving it back to the buyer. `refused`: not in this way; `parked`: not asked, see `payback_reason`; "
            "`paid_otherwise`: as two people said. null: you give it back yourself."
        ),
    ]
    payback_reason: Annotated[
        Literal["payment_account_changed", "payment_account_missing"] | None,
        Field(description="Why it is `parked`: none but the account that took the payment can give it back."),
    ]
    paid_back_at: datetime | None
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


@router.get("/refunds", response_model=ListAnswer[RefundOut])
async def list_refunds(
    tenant: TenantDep,
    page: PageDep,
    status: RefundStatus | None = None,
    payback: Payback | None = None,
    order_id: Annotated[str, type_id("ord")] | None = None,
    external_order_id: Annotated[str | None, Query(max_length=128)] = None,
    external_refund_id: Annotated[str | None, Query(max_length=128)] = None,
) -> dict[str, Any]:
    """Refunds, newest first; `parked` are those whose order has not come yet."""
    external = {"external_order_id": external_order_id, "external_refund_id": external_refund_id}
    query = page.filtered(status=status, payback=payback, order_id=order_id, **external)
    found = await queries.refunds_page(tenant.session, merchant_id=tenant.merchant_id, query=query)
    return tenant.show_page(found, refund_view)


@router.get("/refunds/{refund_id}", response_model=RefundOut)
async def get_refund(refund_id: str, tenant: TenantDep) -> dict[str, Any]:
    found = await queries.get_refund(tenant.session, merchant_id=tenant.merchant_id, refund_id=refund_id)
    return tenant.show(refund_view(found))


AGAIN: dict[int | str, dict[str, Any]] = {200: {"model": RefundOut, "description": "The same again: nothing new"}}


@router.post(
    "/orders/{order_id}/refunds",
    response_model=RefundOut,
    status_code=status.HTTP_201_CREATED,
    responses=AGAIN,
    dependencies=[MovesMoney],
)
async def refund_order(order_id: str, body: RefundIn, tenant: TenantDep, response: Response) -> dict[str, Any]:
    """Give money of an order back; every level loses its share of it, before and after payout."""
    refund, is_new = await refunds.refund_order(
        tenant.session, merchant_id=tenant.merchant_id, order_id=order_id, refund=body.refund(), now=tenant.now
    )
    response.status_code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
    return tenant.show(refund_view(refund))


@router.post(
    "/refunds",
    response_model=RefundOut,
    status_code=status.HTTP_201_CREATED,
    responses=AGAIN,
    dependencies=[MovesMoney],
)
async def refund_by_external_ids(body: ExternalRefundIn, tenant: TenantDep, response: Response) -> dict[str, Any]:
    """The same by your own ids. It may come before the order: parked, and applied when the order comes."""
    refund, is_new = await refunds.refund_by_external_ids(
        tenant.session,
        merchant_id=tenant.merchant_id,
        external_order_id=body.external_order_id,
        refund=body.refund(),
        now=tenant.now,
    )
    response.status_code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
    return tenant.show(refund_view(refund))
