"""The shapes that all nouns share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from app.kit import clock, ids
from app.kit.money import MAX_MINOR

T = TypeVar("T")


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a typo is no silent default."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ListAnswer(Answer, Generic[T]):
    object: str = "list"
    data: list[T]
    has_more: bool
    next_cursor: str | None


class Problem(Answer):
    """RFC 9457, with Invitree's `code`, `request_id` and `errors`."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[dict[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class type_id:  # noqa: N801  # reads as the annotation that it is: `Annotated[str, type_id("cmp")]`
    """A field that is a TypeID of this prefix."""

    prefix: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^{self.prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"}

    def check(self, value: str) -> str:
        try:
            ids.decode(self.prefix, value)
        except ValueError:
            example = f"{self.prefix}_01h2xcejqtf2nbrexx3vqjhp41"
            raise PydanticCustomError("id_invalid", "should be an id like {example}", {"example": example}) from None
        return value


AmountMinor = Annotated[int, Field(strict=True, gt=0, le=MAX_MINOR)]
NonNegativeMinor = Annotated[int, Field(strict=True, ge=0, le=MAX_MINOR)]
CurrencyCode = Annotated[str, Field(pattern="^[A-Z]{3}$")]
ExternalId = Annotated[str, Field(min_length=1, max_length=128)]
MOST_METADATA = 16 * 1024


def _small(value: dict[str, Any]) -> dict[str, Any]:
    """Metadata come back in every answer and every webhook of their object."""
    size = len(msgspec.json.encode(value))
    if size > MOST_METADATA:
        template = "should be at most {limit} bytes of JSON, not {size}"
        raise PydanticCustomError("metadata_too_large", template, {"limit": MOST_METADATA, "size": size})
    return value


Metadata = Annotated[dict[str, Any], Field(max_length=50), AfterValidator(_small)]
# Answers are in UTC, and what was just written is answered before it is read back. Bounds, because an instant at the
# edge of the calendar cannot be turned to UTC.
Instant = Annotated[
    AwareDatetime,
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC)),
    BeforeValidator(clock.spelled_out),
    AfterValidator(lambda value: value.astimezone(UTC)),
]
