"""Alipay's template for paying many accounts (批量付款到支付宝账户): a header with its total, then a row a payout.

At most 3,000 rows; a batch number of 11 to 32 letters and digits and a file name, neither used before; the total is the
sum of the rows. The portal reads cells as they are: a row with a text that a spreadsheet would evaluate is left out,
not marked.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from app.kit import clock, spreadsheets
from app.kit.errors import Conflict, Unprocessable
from app.payouts.payout_file import PayoutLine

AlipayFormat = Literal["alipay", "alipay-gbk"]
ENCODINGS: dict[str, str] = {"alipay": "utf-8", "alipay-gbk": "gbk"}
MOST_ROWS = 3_000
MOST_REASON, MOST_NAME, SERIAL = 100, 128, 22
HEADER = ("批次号", "付款日期", "付款人email", "账户名称", "总金额（元）", "总笔数")
COLUMNS = ("商户流水号", "收款人email", "收款人姓名", "付款金额（元）", "付款理由")
REFUSED = "alipay_cell_refused"
"""Why a payout was left out."""


@dataclass(frozen=True, slots=True)
class Payer:
    """The Alipay account that pays: its login and the name it is held in."""

    account: str
    name: str


def file_name(batch_number: str, format_: AlipayFormat) -> str:
    return f"invitree-{format_}-{batch_number}.csv"


def render(lines: Sequence[PayoutLine], format_: AlipayFormat, *, number: str, payer: Payer, now: datetime) -> bytes:
    """Conflict or Unprocessable where the template cannot hold the lines; nothing is left out to make them fit."""
    _require_rows(lines)
    total = sum((line.amount for line in lines), Decimal(0))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    date = f"{clock.shanghai(now):%Y%m%d}"
    writer.writerow(HEADER)
    writer.writerow((number, date, _plain(payer.account, "payer"), _plain(payer.name, "payer"), str(total), len(lines)))
    writer.writerow(COLUMNS)
    writer.writerows(_row(line) for line in lines)
    return _encoded(out.getvalue(), ENCODINGS[format_])


def can_hold(line: PayoutLine) -> bool:
    """Whether the template can name who is paid; one who cannot be named is no reason not to pay the others."""
    return is_plain(line.account) and is_plain(line.real_name)


def holds(content: bytes, payout_id: str) -> bool:
    """Whether a file that was written has a row of the payout."""
    return f"\n{payout_id[-SERIAL:]},".encode() in content


def _require_rows(lines: Sequence[PayoutLine]) -> None:
    if len(lines) > MOST_ROWS:
        raise Conflict("alipay_file_too_long", f"{len(lines)} payouts; the template takes {MOST_ROWS}.")
    others = sum(line.channel != "alipay" for line in lines)
    if others:
        raise Conflict(
            "alipay_file_other_accounts",
            f"{others} payouts go to no Alipay account: build a batch with the channel alipay.",
        )


def _row(line: PayoutLine) -> tuple[str, ...]:
    name = _plain(line.real_name, line.payout_id)[:MOST_NAME]
    return (
        line.payout_id[-SERIAL:],
        _plain(line.account, line.payout_id),
        name,
        str(line.amount),
        line.remark[:MOST_REASON],
    )


def is_plain(text: str) -> bool:
    """Whether a cell of the template can be the text, as it is."""
    clean = spreadsheets.clean(text)
    return bool(clean) and not spreadsheets.evaluates(clean)


def _plain(text: str, whose: str) -> str:
    if not is_plain(text):
        raise Unprocessable(REFUSED, f"{whose}: a cell that a spreadsheet would evaluate, or an empty one.")
    return spreadsheets.clean(text)


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        row = text[text.rfind("\n", 0, error.start) + 1 :].partition(",")[0]
        detail = f"{text[error.start]!r} in the row {row} is not in {encoding}: take format alipay."
        raise Unprocessable("alipay_file_encoding", detail) from None
