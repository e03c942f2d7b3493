"""The words of the ledger: legs, buckets, balances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    order_id: str | None = None


@dataclass(frozen=True, slots=True)
class Posting:
    """One transaction to come: `reference` (with `kind`) makes it once."""

    kind: str
    reference: str
    legs: Sequence[Leg]


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
    sums: dict[tuple[str, str, str], int] = {}
    for leg in legs:
        owner = (leg.member_id or "", leg.account, leg.order_id or "")
        sums[owner] = sums.get(owner, 0) + leg.amount_minor
    return [
        Leg(account, member or None, amount, order or None)
        for (member, account, order), amount in sorted(sums.items())
        if amount
    ]


def cleared(order_id: str, kind: str, reference: str, legs: Sequence[Leg]) -> Posting:
    """What `legs` bring an order, or take of it, through the order's own account."""
    into_order = -sum(leg.amount_minor for leg in legs)
    return Posting(kind, reference, [Leg("order_clearing", None, into_order, order_id), *legs])
