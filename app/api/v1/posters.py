from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import Query, Request, Response, status
from pydantic import ConfigDict, Field, model_validator

from app.api import posters
from app.api.deps import ResourcesDep, TenantDep
from app.api.pictures import TemplateId
from app.api.posters import Format, OwnPosterDep
from app.api.router import make_router
from app.api.schemas import Body, type_id
from app.api.v1.jobs import JobOut
from app.referrals import poster_jobs
from app.referrals.poster_jobs import Wish

router = make_router("posters")


@router.get(
    "/participants/{participant_id}/poster",
    response_class=Response,
    responses=posters.pictures("jpeg", "png", "webp"),
)
async def get_poster(
    request: Request,
    resources: ResourcesDep,
    own: OwnPosterDep,
    format: Annotated[  # noqa: A002 - the API's name
        Format | None, Query(description="Left out: what `Accept` prefers, a JPEG where it has no preference.")
    ] = None,
) -> Response:
    """The participant's poster, with an ETag. A JPEG has at most 500 KB; a PNG is exact, and some times larger."""
    return await posters.answer(request, resources, own, format)


class PostersIn(Body):
    """`participant_ids`, or `all` of them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"all": True, "format": "jpeg"}]})

    participant_ids: Annotated[list[Annotated[str, type_id("ptc")]], Field(min_length=1, max_length=1000)] | None = None
    all: Annotated[bool, Field(strict=True)] = False
    template_id: Annotated[TemplateId | None, Field(description="Null: what each participant picked.")] = None
    format: Format = "jpeg"

    @model_validator(mode="after")
    def _says_whose(self) -> Self:
        if self.all is (self.participant_ids is not None):
            raise ValueError("say either `participant_ids` or `all`")
        return self

    def wish(self) -> Wish:
        return Wish(self.participant_ids, self.template_id, self.format)


@router.post("/campaigns/{campaign_id}/posters", response_model=JobOut, status_code=status.HTTP_202_ACCEPTED)
async def draw_posters(campaign_id: str, body: PostersIn, tenant: TenantDep) -> dict[str, Any]:
    """Draw many posters, beside the request: the job says how far it is, and where the zip file is to be had."""
    job = await poster_jobs.start(
        tenant.session, merchant_id=tenant.merchant_id, campaign_id=campaign_id, wish=body.wish(), now=tenant.now
    )
    return tenant.show(poster_jobs.job_view(job, []))
