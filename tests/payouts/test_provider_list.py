"""A provider's own list beside ours: each difference by its name."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest

from app.kit import ids
from app.kit.errors import Unprocessable
from app.payouts import provider_list
from app.payouts.provider_list import Booked
from tests.factories.payables import NOW, make_payable
from tests.payouts.conftest import Office
from tests.payouts.test_income import paid_at

PAY = ids.new("pay")
KEY = "ivt" + PAY.removeprefix("pay_")
PAID = Booked("paid", 1_770, is_due=True)


def differences(lines: str, booked: dict[str, Booked]) -> list[tuple[str, int, int]]:
    read = provider_list.parse(f"payout_id,amount,external_id,status\n{lines}".encode())
    assert read.faults == []
    return [(each.code, each.expected, each.found) for each in provider_list.compare(read.transfers, booked)]


@pytest.mark.parametrize(
    ("lines", "booked", "found"),
    [
        (f"{PAY},17.70,A1,paid\n", PAID, []),
        (f"{KEY},17.70,A1,SUCCESS\n{KEY},17.70,A1,SUCCESS\n", PAID, []),
        (f"{KEY},17.7,A1\n{PAY},17.70,A2,失败\n", PAID, []),
        (f"{PAY},17.71,A1,\n", PAID, [("amount_differs", 1_770, 1_771)]),
        ("", PAID, [("missing_at_provider", 1_770, 0)]),
        ("", Booked("paid", 1_770, is_due=False), []),
        ("", Booked("failed", 1_770, is_due=False), []),
        (f'{PAY},"1,717.70",A1,\n{KEY},17.70,A2,\n', PAID, [("paid_twice", 1_770, 173_540)]),
        (f"{PAY},17.70,A1,\n", Booked("failed", 1_770, is_due=False), [("failed_here_paid_there", 0, 1_770)]),
        (f"{PAY},17.70,A1,\n", Booked("submitting", 1_770, is_due=False), [("open_here_paid_there", 0, 1_770)]),
        (f"{ids.new('pay')},5,A1,\n", None, [("unknown_here", 0, 500)]),
        ("2026112200001,5,A1,\n", None, [("unknown_here", 0, 500)]),
    ],
    ids=[
        "agrees",
        "by key, told twice",
        "failed attempt beside",
        "another amount",
        "missing",
        "not due",
        "failed and not listed",
        "twice",
        "failed here",
        "open here",
        "not ours",
        "no key of ours",
    ],
)
def test_each_difference_has_its_name(lines: str, booked: Booked | None, found: list[tuple[str, int, int]]) -> None:
    assert differences(lines, {} if booked is None else {PAY: booked}) == found


@pytest.mark.parametrize(("line", "subject"), [("88,5,A1,", "88"), (",5,A1,", "A1"), (",5,,", "line 2")])
def test_a_transfer_that_is_none_of_ours_is_named_by_what_the_list_says_of_it(line: str, subject: str) -> None:
    read = provider_list.parse(f"payout_id,amount,external_id,status\n{line}\n".encode())
    assert [each.subject_id for each in provider_list.compare(read.transfers, {})] == [subject]


@pytest.mark.parametrize(
    ("line", "code"),
    [("x,1.005,,", "amount_invalid"), ("x,-1,,", "amount_invalid"), ("x,NaN,,", "amount_invalid"),
     ("x,1e999999,,", "amount_invalid"), ("x,,,", "amount_invalid"), ("x,1,,perhaps", "status_invalid")],
)  # fmt: skip
def test_what_cannot_be_read_is_named(line: str, code: str) -> None:
    read = provider_list.parse(f"payout_id,amount,external_id,status\n{line}\n".encode())
    assert ([each.code for each in read.faults], read.transfers) == ([code], [])


def test_another_file_is_refused() -> None:
    with pytest.raises(Unprocessable, match="result_file_columns"):
        provider_list.parse(b"a,b\n1,2\n")


async def test_a_list_of_a_day_is_asked_for_that_day_only(office: Office) -> None:
    for amount, days in ((700, 0), (800, 1)):
        await make_payable(office.session, office.merchant_id, amount)
        await paid_at(office, NOW + timedelta(days=days))
    own: dict[str, Any] = {"merchant_id": office.merchant_id, "transfers": [], "batch_id": None}
    day = await provider_list.load(office.session, **own, paid_from=NOW, paid_before=NOW + timedelta(hours=1))
    assert [asdict(each) for each in day.values()] == [{"status": "paid", "amount_minor": 700, "is_due": True}]
    every = await provider_list.load(office.session, **own, paid_from=None, paid_before=None)
    assert len(every) == 2
