"""Tables for spreadsheet programs: CSV in which no cell evaluates, and XLSX with typed cells.

A CSV cell has no type: programs take `=1+1` for a formula and nineteen digits for a number, of which they keep
fifteen. Such a text gets one leading apostrophe, the mark for text that people know; `bare` takes it off again. In XLSX
a text is a typed cell with its exact characters, which is the form for the portals of banks.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import xlsxwriter  # type: ignore[import-untyped]  # it ships no types

Cell = str | Decimal

# Excel and its kin also take the full-width, small and raised forms, which NFKC folds, and the mathematical minus.
_FORMULA = "=+-@|%\N{MINUS SIGN}"
_QUOTES = "'\"`"
_NUMBER_LIKE = re.compile(r"\(?[.,]?\d[\d\s.,:/eE()-]*")
# Programs that split at another character than the comma would begin a cell after it.
_CELL_INSIDE = re.compile(rf"([;,|\"；，｜＂])(\s*)(?=[{re.escape(_FORMULA)}＝＋－＠｜％])")
_JOINERS = "\u200c\u200d"


def clean(text: str) -> str:
    """Without what nobody sees: line breaks, tabs and controls become spaces; BOM and other format characters go."""
    kept = (" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in text if not _invisible(c))
    return "".join(kept).strip()


def evaluates(text: str) -> bool:
    """Whether a program would take the cell, or a part that it splits off, for a formula. An apostrophe is none."""
    folded = unicodedata.normalize("NFKC", text).lstrip()
    return folded.startswith(tuple(_FORMULA)) or _CELL_INSIDE.search(text) is not None


def safe(text: str) -> str:
    """The text as a CSV cell that no program evaluates or takes for a number."""
    text = _CELL_INSIDE.sub(r"\1\2'", clean(text))
    folded = unicodedata.normalize("NFKC", text).lstrip()
    risky = folded[:1] and folded[0] in _FORMULA + _QUOTES
    return f"'{text}" if risky or _NUMBER_LIKE.fullmatch(folded) else text


def bare(cell: str) -> str:
    """What `safe` made of a text without invisible characters, as that text again."""
    return cell.strip().removeprefix("'")


def to_csv(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """RFC 4180 in UTF-8 without a byte order mark, so that every program finds the first column by its name."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_written(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def to_xlsx(header: Sequence[str], rows: Iterable[Sequence[Cell]], *, created: datetime) -> bytes:
    """One sheet of typed cells, amounts with their two places; equal input makes equal bytes."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        book.set_properties({"created": created.replace(tzinfo=None)})
        text, money, count = (book.add_format({"num_format": shown}) for shown in ("@", "0.00", "0"))
        # Keeps a text a text when somebody edits the cell or saves the sheet in another form.
        text.set_quote_prefix()
        sheet = book.add_worksheet()
        for number, row in enumerate([header, *rows]):
            for column, cell in enumerate(row):
                if isinstance(cell, Decimal):
                    sheet.write_number(number, column, cell, money if cell.as_tuple().exponent else count)
                else:
                    sheet.write_string(number, column, clean(cell), text)
        sheet.freeze_panes(1, 0)
        sheet.autofit()
    return buffer.getvalue()


def _written(cell: Cell) -> str:
    return f"{cell:f}" if isinstance(cell, Decimal) else safe(cell)


def _invisible(character: str) -> bool:
    return unicodedata.category(character) in {"Cf", "Cs"} and character not in _JOINERS
