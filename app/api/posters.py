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

Format = Literal["jpeg", "png", "webp"]
# The one that is drawn fastest first, for who takes any.
MEDIA_TYPES: dict[Format, str] = {"jpeg": "image/jpeg", "webp": "image/webp", "png": "image/png"}
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


_EXACT = 3


def preferred(accept: str) -> Format:
    """The format that an Accept header likes best, one that it names before one that it takes as well; else JPEG."""
    wishes = [_wish(part) for part in accept.lower().replace(" ", "").split(",")]

    def liking(name: Format) -> tuple[float, bool]:
        found = [(_named(kind, MEDIA_TYPES[name]), quality) for kind, quality in wishes]
        exactness, quality = max(found, default=(0, 0.0))
        if exactness and not quality:  # refused, so worse than one that is not spoken of
            return -1.0, False
        return (quality, exactness == _EXACT) if exactness else (0.0, False)

    return max(MEDIA_TYPES, key=liking)


def _wish(part: str) -> tuple[str, float]:
    kind, _, quality = part.partition(";q=")
    try:
        return kind.partition(";")[0], float(quality or 1)
    except ValueError:
        return "", 0.0


def _named(kind: str, media_type: str) -> int:
    """How exactly, 0 for not at all."""
    return {media_type: _EXACT, "image/*": 2, "*/*": 1}.get(kind, 0)


async def answer(
    request: Request,
    resources: Resources,
    composed: Composed,
    format: Format | None = "jpeg",  # noqa: A002 - as the query has it
) -> Response:
    """The picture; nothing is drawn for 304, where the client has it, nor for HEAD, which is told no length then.

    Without a format it is the one that the client prefers.
    """
    headers = {"Cache-Control": CACHE_CONTROL}
    if format is None:
        headers["Vary"] = "Accept"
        format = preferred(request.headers.get("accept", ""))  # noqa: A001 - as above
    headers["ETag"] = etag = f'"{fingerprint(*composed, format)}"'
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
