"""A provider's own list of transfers beside what is recorded: what each side knows and the other does not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.rows import one_of
from app.kit import ids
from app.kit.money import MAX_MINOR
from app.kit.spreadsheets import bare
from app.models import Payout
from app.payouts import queries
from app.payouts.reconciliation import Difference
from app.payouts.result_file import Fault, decoded, table

REQUIRED, OPTIONAL = ("payout_id", "amount"), ("external_id", "status")
_DONE = frozenset({"", "paid", "success", "succeeded", "成功"})
_NOT_DONE = frozenset({"failed", "fail", "closed", "cancelled", "refunded", "失败", "关闭", "退票"})
_KEY = "ivt"


@dataclass(frozen=True, slots=True)
class Listed:
    """A transfer that its provider says was made. `payout_id` is None where the key is none of ours."""

    line: int
    key: str
    payout_id: str | None
    external_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ProviderList:
    transfers: Sequence[Listed]
    faults: Sequence[Fault]


@dataclass(frozen=True, slots=True)
class Booked:
    """`is_due`: paid, and within what the list is to be complete for."""

    status: str
    amount_minor: int
    is_due: bool


def parse(content: bytes) -> ProviderList:
    """CSV with `payout_id` (or the transfer's key) and `amount` in yuan; `external_id`, `status` (without: made)."""
    header, rows = table(decoded(content), REQUIRED, OPTIONAL)
    read = [_read(line, dict(zip(header, map(bare, cells), strict=False))) for line, cells in rows]
    made = [each for each in read if isinstance(each, Listed)]
    return ProviderList(made, [each for each in read if isinstance(each, Fault)])


def compare(transfers: Iterable[Listed], booked: Mapping[str, Booked]) -> list[Difference]:
    """In minor units: `expected` is what is recorded here, `found` what the provider lists."""
    by_payout: dict[str, list[Listed]] = defaultdict(list)
    found = []
    for each in transfers:
        if each.payout_id is not None and each.payout_id in booked:
            by_payout[each.payout_id].append(each)
        else:
            subject = each.key or each.external_id or f"line {each.line}"
            found.append(
                Difference("what the provider lists is a payout", subject, 0, each.amount_minor, "unknown_here")
            )
    for payout_id, known in booked.items():
        found += _of_payout(payout_id, known, by_payout.get(payout_id, []))
    return sorted(found, key=lambda each: each.subject_id)


async def load(
    session: AsyncSession,
    *,
    merchant_id: str,
    transfers: Sequence[Listed],
    batch_id: str | None,
    paid_from: datetime | None,
    paid_before: datetime | None,
) -> dict[str, Booked]:
    """What is recorded of the listed payouts, and of those that a list of this batch or time has to name."""
    due = [Payout.status == "paid"]
    if batch_id is not None:
        batch = await queries.get_batch(session, merchant_id=merchant_id, batch_id=batch_id)
        due.append(Payout.batch_id == batch.id)
    due += [Payout.paid_at >= paid_from] if paid_from else []
    due += [Payout.paid_at < paid_before] if paid_before else []
    own = Payout.merchant_id == merchant_id
    columns = select(Payout.id, Payout.status, Payout.amount_minor)
    listed = [each.payout_id for each in transfers if each.payout_id]
    named = await session.execute(columns.where(own, one_of(Payout.id, listed)))
    booked = {row.id: Booked(row.status, row.amount_minor, is_due=False) for row in named}
    expected = await session.execute(columns.where(own, *due))
    return booked | {row.id: Booked(row.status, row.amount_minor, is_due=True) for row in expected}


def _of_payout(payout_id: str, known: Booked, listed: Sequence[Listed]) -> list[Difference]:
    there = {each.external_id or each.line: each.amount_minor for each in listed}
    if not there:
        gone = Difference("what is paid is listed", payout_id, known.amount_minor, 0, "missing_at_provider")
        return [gone] if known.is_due else []
    if len(there) > 1:
        both = sum(there.values())
        return [Difference("one transfer a payout", payout_id, known.amount_minor, both, "paid_twice")]
    (amount,) = there.values()
    found = []
    if known.status != "paid":
        state = "failed" if known.status in {"failed", "cancelled"} else "open"
        found.append(Difference("what is listed is paid here", payout_id, 0, amount, f"{state}_here_paid_there"))
    if amount != known.amount_minor:
        name = "the provider's transfer is of the payout's amount"
        found.append(Difference(name, payout_id, known.amount_minor, amount, "amount_differs"))
    return found


def _read(line: int, cells: Mapping[str, str]) -> Listed | Fault | None:
    key, status = cells.get("payout_id", ""), cells.get("status", "").lower()
    if status not in _DONE | _NOT_DONE:
        return Fault(line, key[:64], "status_invalid", "status is neither paid nor failed")
    try:
        minor = Decimal(cells.get("amount", "").replace(",", "")).scaleb(2)
    except ArithmeticError:
        minor = Decimal("NaN")
    if not minor.is_finite() or minor != minor.to_integral_value() or not 0 < minor <= MAX_MINOR:
        return Fault(line, key[:64], "amount_invalid", "amount is not yuan like 17.70")
    return None if status in _NOT_DONE else Listed(line, key, _payout_id(key), cells.get("external_id", ""), int(minor))


def _payout_id(key: str) -> str | None:
    """Of an id, or of the key that transfers are made with."""
    text = f"pay_{key.removeprefix(_KEY)}" if key.startswith(_KEY) else key
    try:
        ids.decode("pay", text)
    except ValueError:
        return None
    return text
