from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kit import spreadsheets

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "|calc",
    "%0A",
    "＝1+1",
    "＋1",
    "－1",
    "＠SUM",
    "｜calc",
    "％",
    "﹢1",
    "⁻1",
    "−1",
]
HIDDEN = ["\t=1", "\r=1", "\n=1", "\r\n=1", "\ufeff=1", " =1", "\u3000=1", "\u200b=1", "\xa0=1", "\u202e=1", "\x00=1"]
NUMBERS = ["6222021234567890123", "00123", "1e5", "3-4", "1/2", "2026-11-21", "1,000", " 12 ", "１２３", "(5)", ".5"]
QUOTES = ["'x", '"x', "`x"]
HARMLESS = [
    "张小明",
    "zhang@example.com",
    "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
    "O'Neil",
    "阿卜杜·热合曼",
    "A-1",
    "",
    "佣金 PB20261121",
]


@pytest.mark.parametrize("text", [*FORMULAS, *HIDDEN, *NUMBERS, *QUOTES])
def test_what_a_program_would_not_take_as_text_gets_an_apostrophe(text: str) -> None:
    assert spreadsheets.safe(text).startswith("'")


@pytest.mark.parametrize("text", HARMLESS)
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert spreadsheets.safe(text) == text


@pytest.mark.parametrize("text", [*FORMULAS[:6], "6222021234567890123", *QUOTES, *HARMLESS])
def test_the_apostrophe_can_be_taken_off_again(text: str) -> None:
    assert spreadsheets.bare(spreadsheets.safe(text)) == text


@pytest.mark.parametrize("text", ["a;=1+1", 'a",=1+1', "a, -1", "a|@x", "a；＝1"])
def test_no_cell_begins_inside_for_programs_that_split_elsewhere(text: str) -> None:
    assert "'" in spreadsheets.safe(text)


def test_csv_survives_quotes_and_line_breaks() -> None:
    content = spreadsheets.to_csv(["a", "b"], [['say "hi", x', "two\r\nlines\t!"], ["=1", Decimal("59.00")]])
    assert not content.startswith(b"\xef\xbb\xbf")
    assert content.count(b"\r\n") == 3
    assert list(csv.reader(io.StringIO(content.decode(), newline=""))) == [
        ["a", "b"],
        ['say "hi", x', "two  lines !"],
        ["'=1", "59.00"],
    ]


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_no_written_cell_can_begin_a_formula_or_break_its_row(cells: list[str]) -> None:
    content = spreadsheets.to_csv(["x"] * len(cells), [cells])
    _, row = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    assert len(row) == len(cells)
    for cell in row:
        assert not cell.lstrip().startswith(tuple("=+-@|%＝＋－＠｜％"))
        assert not set(cell) & set("\t\r\n\0\ufeff")
        assert not (cell.isdigit() and len(cell) > 1)


def test_xlsx_cells_are_typed_and_never_formulas() -> None:
    content = _xlsx()
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
        strings = book.read("xl/sharedStrings.xml").decode()
        styles = book.read("xl/styles.xml").decode()
    assert "<f>" not in sheet
    assert sheet.count('t="s"') == 5
    assert "<v>59.00</v>" in sheet
    assert "6222021234567890123" in strings
    assert "=1+1" in strings
    assert 'quotePrefix="1"' in styles


def test_equal_input_makes_equal_xlsx_bytes() -> None:
    assert _xlsx() == _xlsx()


def _xlsx() -> bytes:
    rows: list[list[spreadsheets.Cell]] = [["6222021234567890123", Decimal("59.00")], ["=1+1", Decimal("0.10")]]
    return spreadsheets.to_xlsx(["account", "amount", "x"], rows, created=datetime(2026, 11, 21, 8, tzinfo=UTC))
