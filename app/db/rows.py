"""One row by its public id; many rows by a list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, any_, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.db.base import TenantRow
from app.kit import ids
from app.kit.errors import not_found

T = TypeVar("T", bound=TenantRow)


async def get_row(
    session: AsyncSession, entity: type[T], *, merchant_id: str, row_id: str, noun: str, fresh: bool = False
) -> T:
    """A tenant's row; the one NotFound for a missing, malformed or foreign id.

    `fresh` reads again what the session has seen: for after a lock.
    """
    table: Any = entity
    try:
        ids.decode(table.id.type.prefix, row_id)
    except ValueError:
        raise not_found(noun) from None
    row = await session.get(entity, (merchant_id, row_id), populate_existing=fresh)
    if row is None:
        raise not_found(noun)
    return row


def one_of(column: InstrumentedAttribute[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """As `column.in_(values)`, but one parameter however many values there are: a statement takes 32,767 of them."""
    return column == any_(literal(list(values), ARRAY(column.type)))
