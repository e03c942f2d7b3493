"""`/p/{invite_code}.jpg`: a participant's poster, public, since a long press cannot save what needs a key."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from app.api.deps import PrincipalDep, ResourcesDep
from app.api.router import pages
from app.kit.errors import not_found
from app.poster import fingerprint
from app.referrals import posters, queries
from app.referrals.posters import Composed
from app.resources import Resources

router = APIRouter(tags=["posters"])

Format = Literal["jpeg", "png"]
MEDIA_TYPES: dict[Format, str] = {"jpeg": "image/jpeg", "png": "image/png"}
# Asked for anew each time and mostly answered 304: who has just changed the avatar must not see the old one.
CACHE_CONTROL = "no-cache"
Other = Annotated[
    str | None, Query(max_length=64, description="Another template of the campaign than the one that was picked.")
]


def pictures(*formats: Format, conditional: bool = True) -> dict[int | str, dict[str, Any]]:
    """How a route that answers a picture is described."""
    content = {MEDIA_TYPES[name]: {"schema": {"type": "string", "format": "binary"}} for name in formats}
    described: dict[int | str, dict[str, Any]] = {200: {"description": "The picture", "content": content}}
    if conditional:
        described[304] = {"description": "Not changed since the ETag in `If-None-Match`"}
    return described


@router.get(
    "/p/{invite_code}.jpg",
    response_class=Response,
    responses=pictures("jpeg") | pages({400: "Unreadable", 404: "No such code", 422: "Does not fit"}),
)
async def poster(invite_code: str, request: Request, resources: ResourcesDep, template: Other = None) -> Response:
    """The poster as a JPEG of at most 500 KB, with an ETag."""
    return await answer(request, resources, await _shared(resources, invite_code, template))


@router.head("/p/{invite_code}.jpg", response_class=Response, include_in_schema=False)
async def look_at_poster(
    invite_code: str, request: Request, resources: ResourcesDep, template: Other = None
) -> Response:
    return await answer(request, resources, await _shared(resources, invite_code, template))


async def _shared(resources: Resources, invite_code: str, template_id: str | None) -> Composed:
    async with resources.db.system() as session:
        owner = await queries.merchant_of_code(session, invite_code)
    if owner is None:
        raise not_found("invite_code")
    async with resources.db.tenant(owner.merchant_id) as session:
        return await posters.of_participant(
            session,
            merchant_id=owner.merchant_id,
            participant_id=owner.participant_id,
            public_url=resources.settings.public_url,
            shared=True,
            template_id=template_id,
        )


async def compose_own(participant_id: str, principal: PrincipalDep, resources: ResourcesDep) -> Composed:
    """In a transaction that is over before anything is drawn: drawing waits for its turn, connections are few."""
    async with resources.db.tenant(principal.merchant_id) as session:
        return await posters.of_participant(
            session,
            merchant_id=principal.merchant_id,
            participant_id=participant_id,
            public_url=resources.settings.public_url,
        )


OwnPosterDep = Annotated[Composed, Depends(compose_own)]


async def answer(
    request: Request,
    resources: Resources,
    composed: Composed,
    format: Format = "jpeg",  # noqa: A002 - as the query has it
) -> Response:
    """The picture; nothing is drawn for 304, where the client has it, nor for HEAD, which is told no length then."""
    etag = f'"{fingerprint(*composed, format)}"'
    headers = {"ETag": etag, "Cache-Control": CACHE_CONTROL}
    if _has(request, etag):
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        response = Response(headers=headers, media_type=MEDIA_TYPES[format])
        del response.headers["content-length"]
        return response
    return Response(await resources.renderer.render(*composed, format), headers=headers, media_type=MEDIA_TYPES[format])


def _has(request: Request, etag: str) -> bool:
    given = ",".join(request.headers.getlist("if-none-match"))
    return not {etag, "*"}.isdisjoint(tag.strip().removeprefix("W/") for tag in given.split(","))
