"""The items of `POST /v1/events`: each is read by itself, so that a bad one spoils no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from app.kit import clock

MOST_ITEMS = 500
Status = Literal["accepted", "duplicate", "ignored_bot", "rejected"]


class EventIn(BaseModel):
    """One event. Without `occurred_at` it happened now; without `visitor_id` it is nobody's visit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    event_id: Annotated[str, Field(min_length=1, max_length=64)]
    type: Literal["click", "scan", "view", "share"]
    invite_code: str
    visitor_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    channel: str | None = None
    user_agent: str | None = None
    occurred_at: Annotated[AwareDatetime, Field(strict=False), BeforeValidator(clock.spelled_out)] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an item; `event_id` as it came, None where it is no text."""

    event_id: str | None
    status: Status
    code: str | None = None
    detail: str | None = None


_read = TypeAdapter(EventIn).validate_python


def read(item: Any) -> EventIn | Answer:
    """The event, or why it is none."""
    try:
        return _read(item)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "event"
    code = f"{name}_invalid" if name in EventIn.model_fields or name == "event" else "field_unknown"
    given = item.get("event_id") if isinstance(item, dict) else None
    return Answer(given[:64] if isinstance(given, str) else None, "rejected", code, f"{name[:64]}: {first['msg']}")
