"""How OpenAPI describes the routes that the framework does not know."""

from __future__ import annotations

from typing import Any

import msgspec

from app.api.hot.events import EVENTS, EventsOut
from app.api.hot.invite_link import INVITE_LINKS
from app.tracking.items import MOST_ITEMS, EventIn

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
_REFS = "#/components/schemas/{name}"
_PROBLEM = {"schema": {"$ref": _REFS.format(name="Problem")}}
_TEXT = {"type": "string"}


def _problems(texts: dict[int, str], *, as_page: bool = False) -> dict[str, Any]:
    content = {"application/problem+json": _PROBLEM} | ({"text/html": {"schema": _TEXT}} if as_page else {})
    return {str(status): {"description": text, "content": content} for status, text in texts.items()}


def _in_query(name: str, text: str) -> dict[str, Any]:
    return {"in": "query", "name": name, "required": False, "schema": _TEXT, "description": text}


_OPEN_LINK = {
    "tags": ["invite links"],
    "operationId": "open_link_i__invite_code__get",
    "summary": "Open Link",
    "description": "Count a click or scan and lead on to the landing page; the event's id is in `Event-Id`.",
    "parameters": [
        {"in": "path", "name": "invite_code", "required": True, "schema": _TEXT},
        _in_query("s", "`qr` where the link was scanned."),
        _in_query("ch", "Where it was found; at most 32 letters and digits."),
    ],
    "responses": {
        "302": {
            "description": "The landing page",
            "headers": {
                "Location": {"required": True, "schema": _TEXT},
                "Event-Id": {"description": "Absent where nothing was counted.", "schema": _TEXT},
            },
        },
        **_problems({400: "Unreadable", 404: "No such code", 503: "Try again later"}, as_page=True),
    },
}
_TAKE_EVENTS = {
    "tags": ["events"],
    "operationId": "take_v1_events_post",
    "summary": "Take",
    "description": (
        "Hand in clicks, scans, views and shares that your own pages saw; each counts once, however often it is sent:"
        " `event_id` tells it from the campaign's others. A bad item is `rejected` with a `code` and spoils no other."
        " Items `rejected` with `temporarily_unavailable` could not be judged: send these again, and these alone."
        " Where that is so of all of them, or no store takes events, the answer is 503: send all again as they are."
    ),
    "security": [{"HTTPBearer": []}],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "array",
                    "title": "Items",
                    "items": {"$ref": _REFS.format(name="EventIn")},
                    "maxItems": MOST_ITEMS,
                    "examples": [EXAMPLE],
                }
            }
        },
    },
    "responses": {
        "200": {
            "description": "An answer for each item, in their order",
            "content": {"application/json": {"schema": {"$ref": _REFS.format(name="EventsOut")}}},
        },
        **_problems(
            {
                400: "Unreadable",
                401: "No valid key",
                403: "Not allowed to this key",
                413: "The body is too large",
                422: "Does not fit",
                503: "No store takes events now, or none can be judged: send them again as they are",
            }
        ),
    },
}


def add(description: dict[str, Any]) -> None:
    """To what the framework says of its own routes."""
    _, components = msgspec.json.schema_components((EventIn, EventsOut), ref_template=_REFS)
    description["components"]["schemas"].update(components)
    description["paths"] |= {INVITE_LINKS: {"get": _OPEN_LINK}, EVENTS: {"post": _TAKE_EVENTS}}
