from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.kit.errors import Unprocessable
from app.payouts.result_file import Fault, parse
from app.payouts.result_rules import Facts, Known, Verdict, judge

NOW = datetime(2026, 11, 22, tzinfo=UTC)
HEAD = "payout_id,status,external_id,reason,paid_at\r\n"
# Fixed, so that the tests have the same names in every process.
ONE, TWO, THREE = (f"pay_01h2xcejqtf2nbrexx3vqjhp4{number}" for number in range(3))
OPEN = Known("submitting", None)


def read(text: str, **known: Known) -> Verdict:
    return judge(parse(text.encode()), Facts({ONE: OPEN, TWO: OPEN, **known}), now=NOW)


def codes(faults: list[Fault]) -> list[tuple[int, str]]:
    return [(fault.line, fault.code) for fault in faults]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_reads_what_spreadsheet_programs_save(encoding: str) -> None:
    text = f"{HEAD}{ONE},paid,20261121001,转账成功,2026/11/21 8:05\r\n{TWO},FAILED,,户名不符,\r\n"
    first, second = parse(text.encode(encoding)).rows
    assert (first.status, first.external_id, first.reason) == ("paid", "20261121001", "转账成功")
    assert first.paid_at == datetime(2026, 11, 21, 0, 5, tzinfo=UTC)
    assert (second.status, second.external_id, second.reason, second.paid_at) == ("failed", None, "户名不符", None)


@pytest.mark.parametrize(
    "cell", ["2026-11-21T00:05:00Z", "2026-11-21T08:05:00+08:00", "2026-11-21 08:05", "2026/11/21 8:05:00"]
)
def test_reads_instants_with_a_zone_and_chinas_without(cell: str) -> None:
    (row,) = parse(f"payout_id,status,paid_at\n{ONE},paid,{cell}\n".encode()).rows
    assert row.paid_at == datetime(2026, 11, 21, 0, 5, tzinfo=UTC)


def test_takes_off_the_mark_that_the_export_puts_on() -> None:
    (row,) = parse(f"{HEAD}'{ONE},paid,'6222021234567890123,,\n".encode()).rows
    assert (row.payout_id, row.external_id) == (ONE, "6222021234567890123")


def test_blank_lines_extra_columns_and_another_order_do_not_matter() -> None:
    (row,) = parse(f"\n Status ,note,PAYOUT_ID\n\npaid,hello,{ONE}\n,,\n".encode()).rows
    assert (row.line, row.payout_id, row.status) == (4, ONE, "paid")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "result_file_columns"),
        (b"payout_id,amount\n", "result_file_columns"),
        (b"payout_id,status,status\n", "result_file_columns"),
        (b"payout_id,status\n\x00\n", "result_file_unreadable"),
        (b"payout_id,status\n\xff\xff\xff\n", "result_file_unreadable"),
        (b'payout_id,status\n"a"b,paid\n', "result_file_unreadable"),
        ("payout_id,status\n".encode("utf-16"), "result_file_unreadable"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_whole(content: bytes, code: str) -> None:
    with pytest.raises(Unprocessable, match=code):
        parse(content)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("pay_1,paid,,,", "payout_id_invalid"),
        (f"{ONE},done,,,", "status_invalid"),
        (f"{ONE},,,,", "status_invalid"),
        (f"{ONE},paid,,,yesterday", "paid_at_invalid"),
        (f"{ONE},paid,,,2026/13/01", "paid_at_invalid"),
        (f"{ONE},paid,{'x' * 129},,", "text_too_long"),
        (f"{ONE},paid,,,,extra", "row_too_long"),
        (f"{ONE}", "status_invalid"),
        (f"{THREE},paid,,,", "payout_unknown"),
        (f"{ONE},paid,,,2026-12-21T00:00:00Z", "paid_at_in_future"),
    ],
)
def test_a_bad_row_is_named_and_the_good_one_followed(row: str, code: str) -> None:
    verdict = read(f"{HEAD}{row}\n{TWO},paid,,,\n")
    assert codes(verdict.refused) == [(2, code)]
    assert [good.payout_id for good in verdict.apply] == [TWO]


def test_a_row_given_twice_is_followed_once() -> None:
    verdict = read(f"{HEAD}{ONE},paid,A,,\n{ONE},paid,A,,\n")
    assert [row.line for row in verdict.apply] == [2]
    assert codes(verdict.refused) == [(3, "row_duplicate")]


@pytest.mark.parametrize(
    "other", ["failed,A,,", "paid,B,,", "paid,A,other,", "paid,A,,2026-11-20T00:00:00Z", "nonsense,A,,"]
)
def test_of_rows_that_contradict_none_is_followed(other: str) -> None:
    verdict = read(f"{HEAD}{ONE},paid,A,,\n{TWO},failed,,,\n{ONE},{other}\n")
    assert [row.payout_id for row in verdict.apply] == [TWO]
    assert [line for line, _ in codes(verdict.refused)] == [2, 4]
    assert "rows_contradict" in {code for _, code in codes(verdict.refused)}


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        ("paid,A", "unchanged"),
        ("paid,", "unchanged"),
        ("paid,B", "result_changed"),
        ("failed,A", "result_changed"),
        ("failed,", "result_changed"),
    ],
)
def test_what_is_settled_stays_as_it_is(row: str, outcome: str) -> None:
    verdict = read(f"{HEAD}{ONE},{row},,\n", **{ONE: Known("paid", "A")})
    assert not verdict.apply
    assert outcome == ("unchanged" if verdict.unchanged else verdict.refused[0].code)


def test_a_cancelled_payout_takes_no_result() -> None:
    assert codes(read(f"{HEAD}{ONE},paid,,,\n", **{ONE: Known("cancelled", None)}).refused) == [(2, "result_changed")]


def test_a_clock_a_little_ahead_is_forgiven() -> None:
    assert read(f"{HEAD}{ONE},paid,,,{(NOW + timedelta(hours=23)).isoformat()}\n").apply
