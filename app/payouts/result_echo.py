"""What a result file kept of the exported columns, beside what was exported.

A row that pays something else, or somebody else, is no result of ours.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Mapping
from decimal import Decimal

from app.kit.spreadsheets import bare, clean
from app.payouts.result_file import ResultRow

_RENAMED = {"name": "real_name"}
# Whose money goes where is not for reports and logs.
_UNSAID = frozenset({"account", "real_name", "name"})


def exported_rows(content: bytes) -> dict[str, dict[str, str]]:
    """By payout: the cells of the CSV that was handed out."""
    return {bare(row["payout_id"]): row for row in csv.DictReader(io.StringIO(content.decode(), newline=""))}


def changes(row: ResultRow, exported: Mapping[str, str]) -> str | None:
    """What the row says otherwise than its export; None where it is the same, or says nothing of it."""
    found = []
    for column, cell in row.echoed:
        was = exported[_RENAMED.get(column, column)]
        if not _is_same(column, cell, was):
            found.append(column if column in _UNSAID else f"{column} {bare(cell)[:64]}, exported {bare(was)}")
    return "; ".join(found) or None


def _is_same(column: str, cell: str, was: str) -> bool:
    if column == "amount":
        return _amount(cell) == Decimal(was)
    return _text(cell) == _text(was)


def _text(cell: str) -> str:
    """Spreadsheet programs drop or keep the marks for text, and save blanks and wide characters as they please."""
    return unicodedata.normalize("NFKC", clean(cell)).replace("'", "").strip().casefold()


def _amount(cell: str) -> Decimal | None:
    try:
        return Decimal(bare(cell).replace(",", "").removeprefix("¥").strip())
    except ArithmeticError:
        return None
