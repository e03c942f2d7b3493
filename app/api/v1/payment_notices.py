from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from app.api import payments
from app.api.deps import PageDep, ResourcesDep, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, ListAnswer
from app.orders import checkout_queries as queries
from app.orders.checkout_views import notice_view

router = make_router("payments")

Provider = Literal["sandbox", "wechat"]
Code = Literal[
    "checkout_not_found",
    "amount_mismatch",
    "currency_mismatch",
    "merchant_mismatch",
    "provider_mismatch",
    "paid_twice",
    "payment_used",
]


class NoticeOut(Answer):
    """A notification that its provider had signed and that did not fit. Nothing was recorded because of it."""

    id: str
    object: Literal["payment_notice"]
    provider: Provider
    code: Annotated[
        Code,
        Field(description="`paid_twice`: another transaction paid for it before; `payment_used`: it paid for another."),
    ]
    checkout_id: str | None
    external_id: Annotated[str | None, Field(description="The provider's transaction.")]
    amount_minor: int | None
    currency: str | None
    times: Annotated[int, Field(description="How often it came: providers repeat what is not acknowledged.")]
    received_at: datetime
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class ReceivedOut(Answer):
    code: Annotated[str, Field(examples=["SUCCESS"])]
    message: str


@router.get("/payment-notices", response_model=ListAnswer[NoticeOut])
async def list_notices(
    tenant: TenantDep,
    page: PageDep,
    code: Code | None = None,
    external_id: Annotated[str | None, Query(max_length=128)] = None,
    _status: Annotated[
        Literal["set_aside"] | None, Query(alias="status", description="All of them are; nothing else is taken.")
    ] = None,
) -> dict[str, Any]:
    """Notifications of payment providers that were set aside, newest first."""
    query = page.filtered(code=code, external_id=external_id)
    found = await queries.notices_page(tenant.session, merchant_id=tenant.merchant_id, query=query)
    return tenant.show_page(found, notice_view)


@router.post(
    "/payment-notifications/{kind}/{merchant_id}",
    response_model=ReceivedOut,
    responses={
        401: {"model": ReceivedOut, "description": "Not signed by the provider, or not just now: nothing is kept"},
        409: {
            "model": ReceivedOut,
            "description": "Signed, and does not fit: set aside in the list of notices; or makes no sense",
        },
        503: {"model": ReceivedOut, "description": "Try again later"},
    },
)
async def receive(
    kind: Provider, merchant_id: Annotated[str, Path(max_length=64)], request: Request, resources: ResourcesDep
) -> Response:
    """For payment providers, who sign what they send. Answered as they want it: FAIL makes them send it again."""
    told = await payments.hear(
        resources, kind=kind, merchant_id=merchant_id, headers=request.headers, body=await request.body()
    )
    word = "SUCCESS" if told.code == "SUCCESS" else "FAIL"
    return JSONResponse({"code": word, "message": told.code}, told.status)
