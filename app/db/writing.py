"""New rows past the session: a flush finds out for each anew what is known here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast

from sqlalchemy import Dialect, String, inspect
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import driver
from app.db.base import Base
from app.db.types import Id
from app.kit import ids

T = TypeVar("T", bound=Base)
# A class, and which of its attributes are set: all else the database knows.
Shape = tuple[type[Base], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Column:
    attribute: str
    name: str
    kind: str
    bound: Callable[[Any], Any] | None


def fresh(entity: type[T], **values: Any) -> T:
    """A new row for `write_rows`: it reads as one of its class, None where nothing is set, and is made in a fifth of
    the time, since no session will ever ask what has changed on it."""
    row = _plain(entity)()
    row.__dict__.update(values)
    return cast("T", row)


@lru_cache
def _plain(entity: type[Base]) -> Any:
    return type(f"Fresh{entity.__name__}", (), {**dict.fromkeys(_attributes(entity)), "__entity__": entity})


async def write_rows(session: AsyncSession, *groups: Sequence[Base]) -> None:
    """Insert rows in one statement: of a class in each group, each with the same attributes set.

    Whatever points from one to another is checked when all are there. They stay no part of the session: what changes on
    them afterwards is not written.
    """
    written = [group for group in groups if group]
    if not written:
        return
    shapes = tuple(_shape(group[0]) for group in written)
    statement, ways = _way(shapes, session.get_bind().dialect)
    await driver.fetch(session, statement, *_arguments(written, ways))


def _shape(row: Base) -> Shape:
    entity, given = getattr(type(row), "__entity__", type(row)), row.__dict__
    return entity, tuple(name for name in _attributes(entity) if name in given)


@lru_cache
def _attributes(entity: type[Base]) -> tuple[str, ...]:
    return tuple(attribute.key for attribute in inspect(entity).column_attrs)


@lru_cache
def _way(shapes: tuple[Shape, ...], dialect: Dialect) -> tuple[str, list[list[_Column]]]:
    """The statement, and how what goes into it is found, by group and column."""
    ways = [[_column(entity, attribute, dialect) for attribute in attributes] for entity, attributes in shapes]
    inserts, place = [], 0
    for (entity, _), way in zip(shapes, ways, strict=True):
        names = ", ".join(column.name for column in way)
        arrays = ", ".join(f"${number}::{column.kind}[]" for number, column in enumerate(way, place + 1))
        inserts.append(f"INSERT INTO {entity.__tablename__} ({names}) SELECT * FROM unnest({arrays})")  # noqa: S608
        place += len(way)
    *first, last = inserts
    before = ", ".join(f"w{number} AS ({insert})" for number, insert in enumerate(first))
    return f"WITH {before} {last}" if first else last, ways


def _column(entity: type[Base], attribute: str, dialect: Dialect) -> _Column:
    column = inspect(entity).column_attrs[attribute].columns[0]
    # A cast to `varchar(n)` would cut what is too long; into the column it is refused.
    kind = "text" if isinstance(column.type, String) else column.type.compile(dialect)
    return _Column(attribute, f'"{column.name}"', kind, _bound(column.type, dialect))


def _bound(type_: Any, dialect: Dialect) -> Callable[[Any], Any] | None:
    if not isinstance(type_, Id):
        bound: Callable[[Any], Any] | None = type_.dialect_impl(dialect).bind_processor(dialect)
        return bound
    prefix = type_.prefix  # by the shortest way: two of three values are ids
    return lambda value: None if value is None else ids.decode(prefix, value)


def _arguments(groups: Sequence[Sequence[Base]], ways: Sequence[Sequence[_Column]]) -> list[list[Any]]:
    return [
        [row.__dict__[column.attribute] for row in group]
        if (bound := column.bound) is None
        else [bound(row.__dict__[column.attribute]) for row in group]
        for group, way in zip(groups, ways, strict=True)
        for column in way
    ]
