"""The demonstration's own account of what must come out, kept by other means than the application's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

RATES = {1: 30, 2: 10}  # percent
FEES = {"free": 100, "pro_month": 60}  # basis points, by plan
LEAST_WITHDRAWAL = 100


@dataclass(slots=True)
class Node:
    """One participant as the play knows them."""

    participant_id: str
    member_id: str
    invite_code: str
    nickname: str
    inviter: Node | None = field(repr=False, default=None)
    invited: bool = False
    phone: str = ""

    @property
    def depth(self) -> int:
        return 0 if self.inviter is None else self.inviter.depth + 1


@dataclass(slots=True)
class Purchase:
    order_id: str
    buyer: Node
    amount_minor: int
    fee_bps: int
    in_tool: bool = False
    refunded_minor: int = 0

    def earners(self) -> dict[int, Node]:
        first = self.buyer.inviter
        second = first.inviter if first else None
        return {level: node for level, node in ((1, first), (2, second)) if node is not None}

    def earned(self, level: int) -> int:
        """What is left of a level after its refunds: the whole less the part that went with them."""
        whole = self.amount_minor * RATES[level] // 100
        return whole - self.taken(whole)

    @property
    def fee_minor(self) -> int:
        return self.amount_minor * self.fee_bps // 10_000

    def taken(self, whole: int) -> int:
        """The part of a share that went with the refunds."""
        return whole if self.refunded_minor == self.amount_minor else whole * self.refunded_minor // self.amount_minor


@dataclass(slots=True)
class Account:
    nodes: list[Node] = field(default_factory=list)
    purchases: list[Purchase] = field(default_factory=list)
    clicks: Counter[str] = field(default_factory=Counter)
    scans: Counter[str] = field(default_factory=Counter)
    bots: Counter[str] = field(default_factory=Counter)
    visitors: dict[str, set[str]] = field(default_factory=dict)
    paid_out_minor: Counter[str] = field(default_factory=Counter)
    checkouts: dict[str, str] = field(default_factory=dict)
    topped_up_minor: int = 0
    spent_minor: int = 0

    def saw(self, code: str, kind: str, visitor: str) -> None:
        (self.scans if kind == "scan" else self.clicks)[code] += 1
        self.visitors.setdefault(code, set()).add(visitor)

    def commission_of(self, node: Node) -> int:
        """All that this participant has earned, less what refunds took back."""
        return sum(
            purchase.earned(level)
            for purchase in self.purchases
            for level, earner in purchase.earners().items()
            if earner is node
        )

    def payable_of(self, node: Node) -> int:
        """Where no hold is left."""
        return self.commission_of(node) - self.paid_out_minor[node.member_id]

    def withdrawable(self) -> dict[str, int]:
        """Of whom a batch can pay what, by member."""
        found = {node.member_id: self.payable_of(node) for node in self.nodes}
        return {member: amount for member, amount in found.items() if amount >= LEAST_WITHDRAWAL}

    @property
    def funds_minor(self) -> int:
        """What was paid in and what customers paid in the tool, less what went out again."""
        sold = sum(purchase.amount_minor - purchase.refunded_minor for purchase in self.purchases if purchase.in_tool)
        return self.topped_up_minor + sold - self.spent_minor

    @property
    def fees_minor(self) -> int:
        return sum(purchase.fee_minor - purchase.taken(purchase.fee_minor) for purchase in self.purchases)

    def invitees_of(self, node: Node) -> int:
        return sum(1 for other in self.nodes if other.inviter is node)

    def days_of(self, node: Node) -> int:
        """30 for having been invited, 30 for each friend, at most 365 for friends."""
        friends = sum(1 for other in self.nodes if other.inviter is node and other.invited)
        return 30 * node.invited + min(friends * 30, 360)
