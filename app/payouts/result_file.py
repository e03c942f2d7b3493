"""Reading a result file: `payout_id, status (paid | failed), external_id, reason, paid_at`; and what it kept of the
columns of the export, which has to be as it was exported."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, cast

from app.kit import clock, ids
from app.kit.errors import Unprocessable
from app.kit.spreadsheets import bare

Outcome = Literal["paid", "failed"]
REQUIRED = ("payout_id", "status")
OPTIONAL = ("external_id", "reason", "paid_at")
ECHOED = ("batch_number", "channel", "account", "real_name", "name", "amount", "currency")
_PLAIN_TIME = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?")
MAX_EXTERNAL_ID, MAX_REASON = 128, 500


@dataclass(frozen=True, slots=True)
class ResultRow:
    """What one row says. `line` is where it begins in the file, the header being line 1; `echoed` are the filled cells
    of columns of the export, as they are."""

    line: int
    payout_id: str
    status: Outcome
    external_id: str | None = None
    reason: str | None = None
    paid_at: datetime | None = None
    echoed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that was not followed, and why."""

    line: int
    payout_id: str
    code: str
    detail: str


@dataclass(slots=True)
class ResultFile:
    rows: list[ResultRow] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def add(self, line: int, cells: dict[str, str]) -> None:
        read = read_row(line, cells)
        if isinstance(read, Fault):
            self.faults.append(read)
        else:
            self.rows.append(read)


def parse(content: bytes) -> ResultFile:
    """Rows and unreadable rows; Unprocessable where the file as a whole cannot be read."""
    found, text = ResultFile(), decoded(content)
    header, rows = table(text, REQUIRED, OPTIONAL)
    is_cut = text[-1:] not in ("\n", "\r", "")
    for number, (line, cells) in enumerate(rows, 1):
        if len(cells) > len(header) and any(cells[len(header) :]):
            found.faults.append(_fault(line, cells[0], "row_too_long", "more cells than the header has"))
        elif is_cut and number == len(rows) and len(cells) < len(header):
            detail = "the file ends in the middle of this row: it was cut off; send it whole"
            found.faults.append(_fault(line, cells[0], "row_cut_off", detail))
        else:
            found.add(line, dict(zip(header, cells, strict=False)))
    return found


def table(text: str, required: Sequence[str], optional: Sequence[str]) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Names of the columns, and the rows with their lines; Unprocessable where columns are missing or there twice."""
    (_, first), *rows = [*_records(text)] or [(1, [])]
    header = [bare(name).lower() for name in first]
    _check_header(header, required, optional)
    return header, rows


def read_row(line: int, cells: dict[str, str]) -> ResultRow | Fault:
    value = {name: bare(cells.get(name) or "") for name in (*REQUIRED, *OPTIONAL)}
    payout_id, status = value["payout_id"], value["status"].lower()
    if not _is_payout_id(payout_id):
        return _fault(
            line, payout_id, "payout_id_invalid", "payout_id is not an id like pay_01h2xcejqtf2nbrexx3vqjhp41"
        )
    if status not in ("paid", "failed"):
        return _fault(line, payout_id, "status_invalid", "status is neither paid nor failed")
    if len(value["external_id"]) > MAX_EXTERNAL_ID or len(value["reason"]) > MAX_REASON:
        return _fault(line, payout_id, "text_too_long", f"external_id ≤ {MAX_EXTERNAL_ID}, reason ≤ {MAX_REASON}")
    try:
        paid_at = _instant(value["paid_at"])
    except ValueError:
        return _fault(line, payout_id, "paid_at_invalid", "paid_at is not a date like 2026-11-21T08:00:00+08:00")
    echoed = tuple((name, cells[name]) for name in ECHOED if (cells.get(name) or "").strip())
    outcome, external_id, reason = cast("Outcome", status), value["external_id"] or None, value["reason"] or None
    return ResultRow(line, payout_id, outcome, external_id, reason, paid_at, echoed)


def decoded(content: bytes) -> str:
    """UTF-8 with or without a mark, else GB 18030, as Chinese spreadsheet programs save it.

    UTF-8 that ends within a character is cut off; as GB 18030 it would be read as other characters.
    """
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = codecs.decode(content, encoding)
        except UnicodeDecodeError as error:
            if (
                encoding == "utf-8-sig"
                and error.reason == "unexpected end of data"
                and not content[: error.start].isascii()
            ):
                raise Unprocessable("result_file_cut_off", "The file ends within a character: send it whole.") from None
            continue
        if "\0" not in text:
            return text
    raise Unprocessable("result_file_unreadable", "The file is neither UTF-8 nor GB 18030 text: save it as CSV.")


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    reader, line = csv.reader(io.StringIO(text, newline=""), strict=True), 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise Unprocessable("result_file_unreadable", f"Line {line} is not CSV: {error}.") from None


def _check_header(header: list[str], required: Sequence[str], optional: Sequence[str]) -> None:
    missing = [name for name in required if name not in header]
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if missing or twice:
        fault = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(twice)} more than once"
        expected = ", ".join((*required, *optional))
        raise Unprocessable("result_file_columns", f"The first line {fault}; the columns are {expected}.")


def _is_payout_id(text: str) -> bool:
    try:
        ids.decode("pay", text)
    except ValueError:
        return False
    return True


def _instant(text: str) -> datetime | None:
    """RFC 3339, or a plain date and time as spreadsheets write it, which is then China's."""
    if not text:
        return None
    plain = _PLAIN_TIME.fullmatch(text)
    if plain:
        year, month, day, hour, minute, second = (int(part or 0) for part in plain.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=clock.SHANGHAI)
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=clock.SHANGHAI)


def _fault(line: int, payout_id: str, code: str, detail: str) -> Fault:
    return Fault(line, payout_id[:64], code, detail)
