"""The shapes that all nouns share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.kit import ids
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


def type_id(prefix: str) -> Any:
    """The annotation of an id in a body: `Annotated[str, *type_id("cmp")]` is spelled `TypeId["cmp"]` in routes."""

    def check(value: str) -> str:
        try:
            ids.decode(prefix, value)
        except ValueError:
            raise PydanticCustomError(
                "id_invalid", f"should be an id like {prefix}_01h2xcejqtf2nbrexx3vqjhp41"
            ) from None
        return value

    schema = {"type": "string", "pattern": f"^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"}
    return Annotated[str, AfterValidator(check), WithJsonSchema(schema)]


AmountMinor = Annotated[int, Field(strict=True, gt=0, le=MAX_MINOR)]
NonNegativeMinor = Annotated[int, Field(strict=True, ge=0, le=MAX_MINOR)]
CurrencyCode = Annotated[str, Field(pattern="^[A-Z]{3}$")]
ExternalId = Annotated[str, Field(min_length=1, max_length=128)]
Metadata = Annotated[dict[str, Any], Field(max_length=50)]
Instant = AwareDatetime
CreatedAt = datetime
