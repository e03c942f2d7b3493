"""Column types: TypeIDs kept as UUIDs, people's data kept sealed."""
# ruff: noqa: ARG002  (SQLAlchemy hands a dialect to every one of these; ours need none)

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import CHAR, BigInteger, DateTime, Dialect, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import mapped_column
from sqlalchemy.types import TypeDecorator

from app.kit import ids
from app.settings import get_keyring


class Id(TypeDecorator[str]):
    """`cmp_01h…` in Python, 16 bytes in the database."""

    impl = UUID(as_uuid=True)
    cache_ok = True

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix

    def process_bind_param(self, value: str | None, dialect: Dialect) -> uuid.UUID | None:
        return None if value is None else ids.decode(self.prefix, value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else ids.encode(self.prefix, value)


class Sealed(TypeDecorator[str]):
    """Text encrypted at rest; `context` binds a value to its column."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, context: str) -> None:
        super().__init__()
        self.context = context

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else get_keyring().seal(self.context, value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else get_keyring().open(self.context, value)


Instant = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Minor = Annotated[int, mapped_column(BigInteger)]
Currency = Annotated[str, mapped_column(CHAR(3))]
Json = Annotated[dict[str, Any], mapped_column(JSONB)]
