from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from app.api import posters
from app.api.deps import ResourcesDep
from app.api.posters import Format, OwnPosterDep
from app.api.router import make_router

router = make_router("posters")


@router.get(
    "/participants/{participant_id}/poster",
    response_class=Response,
    responses=posters.pictures("jpeg", "png"),
)
async def get_poster(
    request: Request,
    resources: ResourcesDep,
    own: OwnPosterDep,
    format: Annotated[Format, Query()] = "jpeg",  # noqa: A002 - the API's name
) -> Response:
    """The participant's poster, with an ETag. A JPEG has at most 500 KB; a PNG is exact, and some times larger."""
    return await posters.answer(request, resources, own, format)
