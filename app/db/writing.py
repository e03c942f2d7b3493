"""New rows past the session: a flush finds out for each anew what is known here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import insert, inspect
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.base import Base


async def write_rows(session: AsyncSession, rows: Sequence[Base]) -> None:
    """Insert rows of one class in one statement, each with the same attributes set. They stay no part of the session:
    what changes on them afterwards is not written."""
    if rows:
        statement, names = _way(type(rows[0]))
        await session.execute(statement, [_values(row, names) for row in rows])


@lru_cache
def _way(entity: type[Base]) -> tuple[Any, dict[str, str]]:
    """The statement, and columns' names by attribute."""
    table: Any = entity.__table__
    columns = inspect(entity).column_attrs
    return insert(table), {attribute.key: attribute.columns[0].name for attribute in columns}


def _values(row: Base, names: dict[str, str]) -> dict[str, Any]:
    """Of what was set; the database knows the rest."""
    given = row.__dict__
    return {name: given[key] for key, name in names.items() if key in given}
