"""How refunds spread over an order's lines. Pure; integer minor units.

What is refunded of each line is a function of two sums alone: of what was refunded by name of each line, and of what
was refunded without naming any. The latter is cut in proportion to what the former leave of each line. So it does not
matter into how many refunds these sums were cut, nor in which order they came, of one sort or of both; and as the cut
never takes from a line what it had given to it, each refund adds to lines and takes from none.

Of what was refunded without names, some may move to other lines when a name is given later: as if that had been said
first. A refund by name fits where its line was not refunded by name before, and the order has as much left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.kit.money import apportion
from app.orders.rules import NewRefund, misfit


@dataclass(frozen=True, slots=True)
class Standing:
    """One line as earlier refunds left it; `named_minor` of `refunded_minor` was refunded by its name."""

    external_line_id: str
    amount_minor: int
    refunded_minor: int = 0
    named_minor: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What a refund takes of one line; `named_minor` is what it says that it takes."""

    amount_minor: int
    named_minor: int


def spread(refund: NewRefund, lines: Sequence[Standing], *, currency: str) -> dict[str, Taken]:
    """By external line id, without the lines it leaves alone. Unprocessable where it does not fit."""
    _require_fits(refund, lines, currency)
    ranked = sorted(lines, key=lambda line: line.external_line_id)
    now = {line.external_line_id: line.amount_minor for line in refund.lines}
    named = [line.named_minor + now.get(line.external_line_id, 0) for line in ranked]
    total = refund.amount_minor + sum(line.refunded_minor for line in ranked)
    left = [line.amount_minor - by_name for line, by_name in zip(ranked, named, strict=True)]
    parts = apportion(total - sum(named), left)
    found = {
        line.external_line_id: Taken(by_name + part - line.refunded_minor, by_name - line.named_minor)
        for line, by_name, part in zip(ranked, named, parts, strict=True)
    }
    return {name: taken for name, taken in found.items() if taken.amount_minor or taken.named_minor}


def _require_fits(refund: NewRefund, lines: Sequence[Standing], currency: str) -> None:
    if refund.currency not in (None, currency):
        raise misfit("currency_mismatch", f"The order was paid in {currency}.", "/currency")
    left = sum(line.amount_minor - line.refunded_minor for line in lines)
    if refund.amount_minor > left:
        detail = f"Of this order {left} (minor units) are left to refund."
        raise misfit("refund_exceeds_paid", detail, "/amount_minor")
    unnamed = {line.external_line_id: line.amount_minor - line.named_minor for line in lines}
    for place, line in enumerate(refund.lines):
        pointer = f"/lines/{place}"
        if line.external_line_id not in unnamed:
            raise misfit("line_not_found", "The order has no such line.", f"{pointer}/external_line_id")
        if line.amount_minor > unnamed[line.external_line_id]:
            detail = f"Of this line {unnamed[line.external_line_id]} (minor units) are left to refund by its name."
            raise misfit("refund_exceeds_paid", detail, f"{pointer}/amount_minor")
