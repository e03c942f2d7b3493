from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Response, status
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from app.api import posters
from app.api.deps import PageDep, PrincipalDep, ResourcesDep, TenantDep
from app.api.pictures import DocumentIn, check_document
from app.api.posters import MEDIA_TYPES, Format
from app.api.router import make_router
from app.api.schemas import Answer, Body, ListAnswer, Metadata, type_id
from app.db.pages import Page
from app.poster import OFFERED, SAMPLE
from app.poster.document import Document
from app.referrals import posters as composing
from app.referrals import templates
from app.referrals.posters import Composed

router = make_router("posters")

Name = Annotated[str, Field(min_length=1, max_length=80)]
DOCUMENT: JsonDict = {
    "background": {"paint": {"stops": ["#0B6B57", "#3DB98B"], "angle": 90}},
    "layers": [
        {"type": "avatar", "x": 311, "y": 80, "size": 128},
        {"type": "text", "x": 60, "y": 240, "width": 630, "text": "{nickname}", "size": 44, "align": "center"},
        {"type": "text", "x": 60, "y": 330, "width": 630, "text": "{title}", "size": 56, "lines": 2, "weight": "bold"},
        {"type": "qr", "x": 225, "y": 900, "size": 300},
    ],
}


class TemplateIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "春季海报", "document": DOCUMENT}]})

    name: Name
    document: DocumentIn
    metadata: Metadata = Field(default_factory=dict)

    def given(self) -> dict[str, Any]:
        """By column, what the request says."""
        values = {name: getattr(self, name) for name in self.model_fields_set}
        return values | ({"meta": values.pop("metadata")} if "metadata" in values else {})


def _all_optional(schema: dict[str, Any]) -> None:
    """What a change leaves out stays as it is: a default in the schema would say otherwise."""
    for field in schema["properties"].values():
        field.pop("default", None)
    schema["examples"] = [{"name": "春季海报，第二稿"}]


class TemplateChangeIn(TemplateIn):
    model_config = ConfigDict(json_schema_extra=_all_optional)

    name: Name = ""
    document: DocumentIn = Field(default_factory=dict)


class PreviewIn(Body):
    """Whose name and picture to show, and which campaign's texts; sample ones where nothing is said."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"nickname": "小明🍵", "format": "jpeg"}]})

    nickname: Annotated[str, Field(max_length=64)] = SAMPLE.nickname
    avatar_asset_id: Annotated[str, type_id("ast")] | None = None
    campaign_id: Annotated[str, type_id("cmp")] | None = None
    format: Format = "jpeg"


class WarningOut(Answer):
    code: Annotated[str, Field(examples=["text_cut"])]
    pointer: Annotated[str, Field(description="Into the document.", examples=["/layers/2"])]
    detail: str


class TemplateOut(Answer):
    id: Annotated[str, Field(description="`tpl_…`, or the name of a built-in one, as `distribution`.")]
    object: Literal["poster_template"]
    builtin: bool
    name: str
    version: int
    document: Document
    warnings: list[WarningOut]
    metadata: dict[str, Any]
    created_at: Annotated[datetime | None, Field(description="Null for a built-in one.")]
    livemode: bool


async def check_new(body: TemplateIn, principal: PrincipalDep, resources: ResourcesDep) -> dict[str, Any]:
    return await check_document(resources, principal.merchant_id, body.given())


async def check_change(body: TemplateChangeIn, principal: PrincipalDep, resources: ResourcesDep) -> dict[str, Any]:
    return await check_document(resources, principal.merchant_id, body.given())


async def compose_sample(
    template_id: str, body: PreviewIn, principal: PrincipalDep, resources: ResourcesDep
) -> Composed:
    async with resources.db.tenant(principal.merchant_id) as session:
        return await composing.sample(
            session,
            merchant_id=principal.merchant_id,
            template_id=template_id,
            public_url=resources.settings.public_url,
            **body.model_dump(exclude={"format"}),
        )


@router.post("/poster-templates", response_model=TemplateOut, status_code=status.HTTP_201_CREATED)
async def create_template(values: Annotated[dict[str, Any], Depends(check_new)], tenant: TenantDep) -> dict[str, Any]:
    """A template of your own. It is drawn and its QR code read back before it is taken; pictures are assets' ids."""
    row = await templates.create(tenant.session, merchant_id=tenant.merchant_id, values=values, now=tenant.now)
    return tenant.show(templates.template_view(row))


@router.get("/poster-templates", response_model=ListAnswer[TemplateOut])
async def list_templates(tenant: TenantDep, page: PageDep) -> dict[str, Any]:
    """Your own templates, newest first."""
    found = await templates.page(tenant.session, merchant_id=tenant.merchant_id, query=page)
    return tenant.show_page(found, templates.template_view)


@router.get("/poster-templates/builtin", response_model=ListAnswer[TemplateOut])
async def list_builtin_templates(tenant: TenantDep) -> dict[str, Any]:
    """The templates of campaigns that name none: a campaign of a kind has the one of that name."""
    return tenant.show_page(Page(list(OFFERED), None), templates.builtin_view)


@router.get("/poster-templates/{template_id}", response_model=TemplateOut)
async def get_template(
    template_id: str, tenant: TenantDep, version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None
) -> dict[str, Any]:
    """One template, your own or a built-in one; as it was, where an earlier version is asked for."""
    found = await templates.show(
        tenant.session, merchant_id=tenant.merchant_id, template_id=template_id, version=version
    )
    return tenant.show(found)


@router.patch("/poster-templates/{template_id}", response_model=TemplateOut)
async def change_template(
    template_id: str, values: Annotated[dict[str, Any], Depends(check_change)], tenant: TenantDep
) -> dict[str, Any]:
    """Another version. A published campaign keeps the one it has until its `poster_template_ids` are sent again."""
    row = await templates.change(tenant.session, merchant_id=tenant.merchant_id, template_id=template_id, values=values)
    return tenant.show(templates.template_view(row))


@router.post(
    "/poster-templates/{template_id}/preview",
    response_class=Response,
    responses=posters.pictures("jpeg", "png", "webp", conditional=False),
)
async def preview_template(
    body: PreviewIn, composed: Annotated[Composed, Depends(compose_sample)], resources: ResourcesDep
) -> Response:
    """A poster of the template. Changes nothing, so that it may be repeated, with an Idempotency-Key or without."""
    picture = await resources.renderer.render(*composed, body.format)
    return Response(picture, media_type=MEDIA_TYPES[body.format])
