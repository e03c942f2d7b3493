"""The declarative base, with names for every constraint so that migrations can speak of them."""

from __future__ import annotations

from typing import Annotated

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.db.types import Id

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

MerchantId = Annotated[str, mapped_column(Id("mch"), primary_key=True, sort_order=-1)]


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class TenantRow:
    """A row of one merchant. The merchant leads the primary key, every unique key and every foreign key."""

    merchant_id: Mapped[MerchantId]
