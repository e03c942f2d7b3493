"""Cursor pages, newest first: ids are ordered by time, so the id of the last row is the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.types import Id
from app.kit import ids
from app.kit.errors import BadRequest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What a list request may ask for; `equals` are filters by column name, `created_*` a half-open range."""

    limit: int = 20
    cursor: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    equals: dict[str, str] = field(default_factory=dict)

    def filtered(self, **equals: str | None) -> PageQuery:
        """With filters by column; None filters nothing."""
        return replace(self, equals=self.equals | {name: value for name, value in equals.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    rows: Sequence[T]
    next_cursor: str | None


async def fetch_page(session: AsyncSession, statement: Select[tuple[T]], query: PageQuery) -> Page[T]:
    """One page of a single-entity select; the entity has `id` and `created_at`."""
    entity: Any = statement.column_descriptions[0]["entity"]
    if query.cursor is not None:
        statement = statement.where(entity.id < _checked(query.cursor, entity.id.type))
    if query.created_from is not None:
        statement = statement.where(entity.created_at >= query.created_from)
    if query.created_before is not None:
        statement = statement.where(entity.created_at < query.created_before)
    for column, value in query.equals.items():
        statement = statement.where(getattr(entity, column) == value)
    rows = (await session.scalars(statement.order_by(entity.id.desc()).limit(query.limit + 1))).all()
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    return Page(rows, rows[-1].id if more else None)  # type: ignore[attr-defined]  # every listed entity has an id


def _checked(cursor: str, column_type: Id) -> str:
    try:
        ids.decode(column_type.prefix, cursor)
    except ValueError:
        raise BadRequest("cursor_invalid", "Use `next_cursor` of the previous page as it came.") from None
    return cursor
