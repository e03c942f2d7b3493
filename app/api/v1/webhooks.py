from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import status
from pydantic import Field

from app.api.deps import NeedsAdmin, PageDep, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, ListAnswer, type_id
from app.webhooks import queries, service
from app.webhooks.rules import TYPES
from app.webhooks.views import delivery_view, endpoint_view, new_endpoint_view

router = make_router("webhooks")

EventType = Literal["*", *TYPES]  # type: ignore[valid-type]  # the room's own list, which a type checker cannot read
EndpointId = Annotated[str, type_id("whe")]
EventId = Annotated[str, type_id("evt")]
DeliveryStatus = Literal["pending", "delivered", "failed"]


class EndpointIn(Body):
    url: Annotated[str, Field(min_length=1, max_length=2_048, examples=["https://shop.example.com/invitree"])]
    types: Annotated[
        list[EventType],
        Field(default_factory=lambda: ["*"], min_length=1, max_length=32, examples=[["reward.granted", "order.paid"]]),
    ]


class EndpointOut(Answer):
    id: str
    object: Literal["webhook_endpoint"]
    url: str
    types: list[str]
    disabled_at: datetime | None
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class NewEndpointOut(EndpointOut):
    secret: Annotated[str | None, Field(description="`whsec_…`, shown once; null where the answer is a repeated one.")]


class DeliveryOut(Answer):
    id: str
    object: Literal["webhook_delivery"]
    endpoint_id: str
    event_id: str
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None
    delivered_at: datetime | None
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


@router.post(
    "/webhook-endpoints",
    status_code=status.HTTP_201_CREATED,
    response_model=NewEndpointOut,
    dependencies=[NeedsAdmin],
)
async def create_endpoint(body: EndpointIn, tenant: TenantDep) -> dict[str, Any]:
    """Have events posted to an address, signed by Standard Webhooks 1.0 with the secret of this answer."""
    endpoint = await service.create_endpoint(
        tenant.session,
        merchant_id=tenant.merchant_id,
        url=body.url,
        types=list(body.types),
        development=tenant.resources.settings.environment == "development",
    )
    return tenant.show(new_endpoint_view(endpoint))


@router.get("/webhook-endpoints", response_model=ListAnswer[EndpointOut])
async def list_endpoints(tenant: TenantDep, page: PageDep) -> dict[str, Any]:
    """The merchant's endpoints, newest first."""
    found = await queries.endpoints_page(tenant.session, merchant_id=tenant.merchant_id, query=page)
    return tenant.show_page(found, endpoint_view)


@router.delete("/webhook-endpoints/{endpoint_id}", status_code=status.HTTP_204_NO_CONTENT, dependencies=[NeedsAdmin])
async def delete_endpoint(endpoint_id: str, tenant: TenantDep) -> None:
    """Stop deliveries to an endpoint, waiting ones included."""
    await service.delete_endpoint(tenant.session, merchant_id=tenant.merchant_id, endpoint_id=endpoint_id)


@router.get("/webhook-deliveries", response_model=ListAnswer[DeliveryOut])
async def list_deliveries(
    tenant: TenantDep,
    page: PageDep,
    status: DeliveryStatus | None = None,
    endpoint_id: EndpointId | None = None,
    event_id: EventId | None = None,
) -> dict[str, Any]:
    """What was sent, and what became of it, newest first."""
    page = page.filtered(status=status, endpoint_id=endpoint_id, event_id=event_id)
    found = await queries.deliveries_page(tenant.session, merchant_id=tenant.merchant_id, query=page)
    return tenant.show_page(found, delivery_view)


@router.post("/webhook-deliveries/{delivery_id}/resend", response_model=DeliveryOut)
async def resend(delivery_id: str, tenant: TenantDep) -> dict[str, Any]:
    """Send an event to its endpoint once more, under the same `webhook-id`."""
    delivery = await service.resend(tenant.session, merchant_id=tenant.merchant_id, delivery_id=delivery_id)
    return tenant.show(delivery_view(delivery))
