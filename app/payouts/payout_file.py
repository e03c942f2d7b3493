"""The generic payout file: one row a payout, for finance, banks' portals and other people's scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Literal

from app.kit import spreadsheets
from app.kit.spreadsheets import Cell

Format = Literal["csv", "xlsx"]
FORMATS: tuple[Format, ...] = ("csv", "xlsx")
MEDIA_TYPES: dict[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "alipay": "text/csv; charset=utf-8",
    "alipay-gbk": "text/csv; charset=gbk",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@dataclass(frozen=True, slots=True)
class PayoutLine:
    """One row; the fields are the columns. `amount` is decimal yuan."""

    payout_id: str
    batch_number: str
    channel: str
    account: str
    real_name: str
    amount: Decimal
    currency: str
    remark: str


COLUMNS = tuple(field.name for field in fields(PayoutLine))


def decimal_amount(amount_minor: int) -> Decimal:
    return Decimal(amount_minor).scaleb(-2)


def file_name(batch_number: str, format_: Format) -> str:
    return f"invitree-payouts-{batch_number}.{format_}"


def render(lines: Sequence[PayoutLine], format_: Format, *, created: datetime) -> bytes:
    rows: list[tuple[Cell, ...]] = [astuple(line) for line in lines]
    if format_ == "csv":
        return spreadsheets.to_csv(COLUMNS, rows)
    return spreadsheets.to_xlsx(COLUMNS, rows, created=created)
