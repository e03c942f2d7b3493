"""`/i/{invite_code}`: the link of every invite and poster. Counts, and leads on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.deps import ResourcesDep
from app.api.ratelimit import client_address
from app.api.router import pages
from app.kit import clock
from app.settings import Settings
from app.tracking import bots, service, visitors
from app.tracking.links import Opened, Visit

router = APIRouter(tags=["invite links"])

Scan = Annotated[str | None, Query(alias="s", description="`qr` where the link was scanned.")]
Channel = Annotated[str | None, Query(alias="ch", description="Where it was found; at most 32 letters and digits.")]


@router.get(
    "/i/{invite_code}",
    status_code=302,
    response_class=Response,
    responses=pages({400: "Unreadable", 404: "No such code", 422: "Does not fit"}),
)
async def open_link(
    invite_code: str, request: Request, resources: ResourcesDep, s: Scan = None, ch: Channel = None
) -> Response:
    """Count a click or scan and lead on to the landing page; the event's id is in `Event-Id`."""
    visit = _read(request, resources.settings, invite_code, scan=s == "qr", channel=ch)
    opened = await service.open_link(resources.tracker, visit, now=clock.utcnow())
    return _redirect(opened, secure=resources.settings.public_url.startswith("https://"))


@router.head("/i/{invite_code}", status_code=302, response_class=Response, include_in_schema=False)
async def look_at_link(
    invite_code: str, request: Request, resources: ResourcesDep, s: Scan = None, ch: Channel = None
) -> Response:
    return await open_link(invite_code, request, resources, s, ch)


def _read(request: Request, settings: Settings, code: str, *, scan: bool, channel: str | None) -> Visit:
    agent = request.headers.get("user-agent", "")
    return Visit(
        code=code,
        is_scan=scan,
        is_bot=request.method == "HEAD" or bots.is_bot(agent) or bots.is_prefetch(request.headers),
        channel=channel,
        cookie=request.cookies.get(visitors.COOKIE),
        address=client_address(request, settings.trusted_proxies),
        user_agent=agent,
    )


def _redirect(opened: Opened, *, secure: bool) -> Response:
    headers = {"Location": opened.location} | ({"Event-Id": opened.event_id} if opened.event_id else {})
    response = Response(status_code=302, headers=headers)
    if opened.cookie:
        response.set_cookie(
            visitors.COOKIE,
            opened.cookie,
            max_age=visitors.COOKIE_SECONDS,
            secure=secure,
            httponly=True,
            samesite="lax",
        )
    return response
