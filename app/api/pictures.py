"""Pictures and documents of pictures in requests: looked into by the drawing processes, outside of any transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, File, Form, UploadFile
from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from app.api.deps import PrincipalDep, ResourcesDep
from app.poster import OFFERED
from app.poster.document import Document
from app.poster.pictures import Purpose
from app.referrals import templates
from app.resources import Resources


class _DescribedAsDocument:
    """Described in full, yet taken as it comes: the poster room reads it, and names each fault in its own words."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler(source)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(Document.__pydantic_core_schema__)


DocumentIn = Annotated[dict[str, Any], _DescribedAsDocument()]


TemplateId = Annotated[
    str,
    Field(
        pattern=f"^(tpl_[0-7][0-9a-hjkmnp-tv-z]{{25}}|{'|'.join(OFFERED)})$",
        description="`tpl_…`, or the name of a built-in one.",
    ),
]


@dataclass(frozen=True, slots=True)
class Picture:
    """Normalised, ready to be kept."""

    purpose: Purpose
    content: bytes


_TAKEN = "JPEG of at most 16 megapixels, PNG or WebP of at most 6; 5 MiB at the most."


async def read_picture(
    principal: PrincipalDep,  # noqa: ARG001 - only those who have a key may have pictures decoded
    resources: ResourcesDep,
    file: Annotated[UploadFile, File(description=_TAKEN)],
    purpose: Annotated[Purpose, Form(examples=["avatar"])] = "background",
) -> Picture:
    return Picture(purpose, await resources.renderer.normalise(await file.read(), purpose))


PictureDep = Annotated[Picture, Depends(read_picture)]


async def check_document(resources: Resources, merchant_id: str, values: dict[str, Any]) -> dict[str, Any]:
    """`values` of a template, the document in them made complete, and its `warnings` beside it.

    Unprocessable `poster_template_invalid`, `poster_template_check_failed`, `poster_template_too_slow`.
    """
    if "document" not in values:
        return values
    async with resources.db.tenant(merchant_id) as session:
        template = await templates.prepare(session, merchant_id=merchant_id, document=values["document"])
    warnings = templates.require_usable(await resources.renderer.check(template))
    return {**values, "document": template.document.model_dump(mode="json"), "warnings": warnings}
