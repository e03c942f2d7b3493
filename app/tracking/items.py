"""The items of `POST /v1/events`: each is read by itself, so that a bad one spoils no other."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from app.tracking.hits import Kind, micros

MOST_ITEMS = 500
MOST_EVENT_ID = 64
Status = Literal["accepted", "duplicate", "ignored_bot", "rejected"]
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


class EventIn(Struct, frozen=True, forbid_unknown_fields=True):
    """One event. Without `occurred_at` it happened now; without `visitor_id` it is nobody's visit."""

    event_id: Annotated[str, Meta(min_length=1, max_length=MOST_EVENT_ID)]
    type: Kind
    invite_code: str
    visitor_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    channel: str | None = None
    user_agent: str | None = None
    occurred_at: Annotated[str, Meta(extra_json_schema={"format": "date-time"})] | None = None


class EventOut(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of an item; `event_id` as it came, None where it is no text."""

    event_id: Annotated[str | None, Meta(description="As it came; absent where it was no text.")] = None
    status: Status
    code: str | None = None
    detail: str | None = None


_FIELDS = {field.encode_name: field for field in msgspec.structs.fields(EventIn)}
# Of a body in which every item is one: the usual case, at the price of a parse.
read_all = msgspec.json.Decoder(list[EventIn]).decode


def read(item: Any) -> EventIn | EventOut:
    """The event, or why it is none."""
    try:
        return msgspec.convert(item, EventIn)
    except msgspec.ValidationError as error:
        name, detail = _fault(item, error)
    code = "field_unknown" if name not in {*_FIELDS, "event"} else f"{name}_invalid"
    given = item.get("event_id") if isinstance(item, dict) else None
    event_id = given[:MOST_EVENT_ID] if isinstance(given, str) else None
    return EventOut(event_id=event_id, status="rejected", code=code, detail=f"{name[:64]}: {detail}")


def refused(item: Any, code: str, detail: str) -> EventOut:
    """An item that was refused before it was read, under its id where that can be told."""
    given = item.get("event_id") if isinstance(item, dict) else None
    event_id = given[:MOST_EVENT_ID] if isinstance(given, str) and given.isprintable() else None
    return EventOut(event_id=event_id, status="rejected", code=code, detail=detail)


def _fault(item: Any, error: msgspec.ValidationError) -> tuple[str, str]:
    """The first field at fault, and what is wrong with it."""
    if not isinstance(item, dict):
        return "event", str(error)
    for name, field in _FIELDS.items():
        if name not in item and field.required:
            return name, "Field required"
        try:
            msgspec.convert(item.get(name), field.type)
        except msgspec.ValidationError as wrong:
            return name, str(wrong)
    return next(str(name) for name in item if name not in _FIELDS), "No such field"


def instant_us(text: str) -> int | None:
    """Microseconds since 1970 of an RFC 3339 instant; None where it is none, or names no zone."""
    if not _RFC_3339.match(text):
        return None
    try:
        instant = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return None if instant.tzinfo is None else micros(instant)
