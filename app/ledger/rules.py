"""The words of the ledger: legs, buckets, balances."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Bucket = Literal["pending", "held", "payable", "in_payout", "paid"]
BUCKETS: tuple[Bucket, ...] = ("pending", "held", "payable", "in_payout", "paid")


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of a movement: `account` is an account's kind; a positive amount is money that now stands to it."""

    account: str
    member_id: str | None
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Balance:
    """What stands to one member in one currency, by bucket, and what was paid out to them so far."""

    pending_minor: int = 0
    held_minor: int = 0
    payable_minor: int = 0
    in_payout_minor: int = 0
    paid_minor: int = 0
    currency: str = "CNY"


def member_account(bucket: str) -> str:
    return f"member_{bucket}"


def merged(legs: Iterable[Leg]) -> list[Leg]:
    """One leg an account, in a fixed order, without those that come to nothing."""
    sums: dict[tuple[str, str], int] = {}
    for leg in legs:
        owner = (leg.member_id or "", leg.account)
        sums[owner] = sums.get(owner, 0) + leg.amount_minor
    return [Leg(account, member or None, amount) for (member, account), amount in sorted(sums.items()) if amount]
