"""What providers say of transfers, beside what is recorded of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.payouts.rails.protocol import Answer
from app.payouts.reconciliation import Difference

SETTLED_THERE = frozenset({"paid", "failed", "refused", "not_found"})


@dataclass(frozen=True, slots=True)
class Recorded:
    payout_id: str
    status: str
    amount_minor: int
    # Of an older transfer its provider no longer tells: that it is not found says nothing.
    is_still_told: bool = True


def differences(pairs: Iterable[tuple[Recorded, Answer]]) -> list[Difference]:
    """In minor units. What has no result here, or none there, cannot differ yet but in its amount."""
    found = (_difference(recorded, answer) for recorded, answer in pairs)
    return [difference for difference in found if difference is not None]


def _difference(recorded: Recorded, answer: Answer) -> Difference | None:
    amount = recorded.amount_minor
    there = amount if answer.amount_minor is None else answer.amount_minor
    if answer.state not in {"unknown", "not_found", "failed", "refused"} and there != amount:
        check = "the provider's transfer is of the payout's amount"
        return Difference(check, recorded.payout_id, amount, there, "amount_differs")
    if answer.state == "not_found" and not recorded.is_still_told:
        return None
    if answer.state not in SETTLED_THERE or recorded.status not in {"paid", "failed"}:
        return None
    paid_here, paid_there = recorded.status == "paid", answer.state == "paid"
    if paid_here == paid_there:
        return None
    name = "what is paid was carried out by its provider" if paid_here else "what failed was not carried out"
    return Difference(name, recorded.payout_id, amount * paid_here, there * paid_there, _code(recorded, answer))


def _code(recorded: Recorded, answer: Answer) -> str:
    if recorded.status == "failed":
        return "failed_here_paid_there"
    return "missing_at_provider" if answer.state == "not_found" else "paid_here_failed_there"
