from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Body
from pydantic import Field, WithJsonSchema

from app.api.deps import PrincipalDep, ResourcesDep
from app.api.router import make_router
from app.api.schemas import Answer
from app.kit import clock
from app.tracking import service
from app.tracking.intake import Delivery
from app.tracking.items import MOST_ITEMS, EventIn

router = make_router("events")

EXAMPLE = [
    {
        "event_id": "app-7f3a2c90",
        "type": "scan",
        "invite_code": "8a2b3c4d",
        "visitor_id": "device-51c1",
        "channel": "moments",
        "user_agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) MicroMessenger/8.0.47",
        "occurred_at": "2026-11-21T08:00:00Z",
    }
]
# Each item is read by itself: a bad one is rejected alone, where a model here would refuse them all.
Item = Annotated[Any, WithJsonSchema(EventIn.model_json_schema())]
Items = Annotated[list[Item], Field(max_length=MOST_ITEMS), Body(examples=[EXAMPLE])]


class ItemOut(Answer):
    event_id: Annotated[str | None, Field(description="As it came; absent where it was no text.")] = None
    status: Literal["accepted", "duplicate", "ignored_bot", "rejected"]
    code: str | None = None
    detail: str | None = None


class EventsOut(Answer):
    object: str = "list"
    data: list[ItemOut]
    livemode: bool


@router.post("/events", response_model=EventsOut, response_model_exclude_none=True)
async def take(items: Items, principal: PrincipalDep, resources: ResourcesDep) -> dict[str, Any]:
    """Hand in clicks, scans, views and shares that your own pages saw; each counts once, however often it is sent."""
    delivery = Delivery(principal.merchant_id, principal.now(), clock.utcnow())
    answers = await service.take(resources.tracker, items, delivery)
    return {"data": answers, "livemode": principal.livemode}
