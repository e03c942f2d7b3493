"""Who earns what of an order line, and what a refund takes back. Integer minor units; floor once per line and level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.campaigns.document import CommissionRule
from app.commissions.matching import Offer, Performance, level_numbers, offers
from app.kit import clock
from app.kit.errors import Conflict
from app.kit.money import cumulative_part, share

SPENT = frozenset({"in_payout", "paid"})
WAITING = frozenset({"pending", "held"})
REJECTABLE = WAITING | {"payable"}


@dataclass(frozen=True, slots=True)
class Standing:
    """Who stood at a level of the buyer's chain when it paid, or why nobody there earns.

    `replaced_at`: when somebody else took the place, None where it is as it was. `tier`: what `done` had reached.
    """

    level: int
    participant_id: str | None = None
    member_id: str | None = None
    reason: str | None = None
    replaced_at: datetime | None = None
    tier: str | None = None
    done: Performance | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What one level gets of one line, by the rule `won`, `lost` being what others would have paid.

    `reason` says why it is nothing, or less than the rule gives (`rate_cap`).
    """

    level: int
    base_minor: int
    amount_minor: int
    who: Standing
    won: Offer | None
    lost: tuple[Offer, ...] = ()
    arithmetic: str | None = None
    reason: str | None = None

    @property
    def beneficiary_id(self) -> str | None:
        return self.who.participant_id

    @property
    def member_id(self) -> str | None:
        return self.who.member_id

    @property
    def rate_bps(self) -> int | None:
        return self.won.rate_bps if self.won else None


@dataclass(frozen=True, slots=True)
class Invitation:
    """One step up the buyer's chain, as it was when the order was paid. `is_buyer`: another member, who is paid to an
    account of the buyer's."""

    participant_id: str
    member_id: str
    is_promoter: bool
    replaced_at: datetime | None = None
    is_buyer: bool = False


def standings(
    buyer_member_id: str,
    chain: Sequence[Invitation],
    *,
    levels: Iterable[int],
    bound_until: datetime | None,
    paid_at: datetime,
    replaced_at: datetime | None = None,
    own: Invitation | None = None,
) -> dict[int, Standing]:
    """`chain`: the buyer's ancestors at `paid_at`, nearest first; `bound_until`: when that binding ends, None for
    never; `replaced_at`: when it was replaced by another one, None where it was not; `own`: the buyer, where promoters
    earn on what they buy themselves."""
    steps: list[Standing] = []
    if own is not None and own.is_promoter:
        steps.append(Standing(1, own.participant_id, own.member_id))
    expired = bound_until is not None and paid_at >= bound_until
    for inviter in chain:
        reason = _why_not(inviter, buyer_member_id, expired=expired)
        since = inviter.replaced_at or replaced_at
        steps.append(Standing(len(steps) + 1, inviter.participant_id, inviter.member_id, reason, since))
    nobody = {level: Standing(level, reason="no_inviter", replaced_at=replaced_at) for level in levels}
    return {level: steps[level - 1] if level <= len(steps) else nobody[level] for level in nobody}


def _why_not(inviter: Invitation, buyer_member_id: str, *, expired: bool) -> str | None:
    if expired:
        return "binding_ended"
    if inviter.member_id == buyer_member_id or inviter.is_buyer:
        return "self_purchase"
    return None if inviter.is_promoter else "not_promoter"


def split(
    base_minor: int, rule: CommissionRule, who: Mapping[int, Standing], *, product: str | None = None
) -> list[Part]:
    """The parts of one line, nearest level first. Each ≥ 0, together never above the cap, so never above the base."""
    room = min(base_minor, share(base_minor, rule.rate_cap_bps))
    parts: list[Part] = []
    for level in level_numbers(rule):
        found = offers(rule, level=level, base_minor=base_minor, product=product, tier=who[level].tier)
        part = _part(base_minor, found, who[level], room)
        room -= part.amount_minor
        parts.append(part)
    return parts


def _part(base_minor: int, found: Sequence[Offer], who: Standing, room: int) -> Part:
    if not found:
        return Part(who.level, base_minor, 0, who, None, reason=who.reason or "no_rule")
    won, lost = found[0], tuple(found[1:])
    if who.reason is not None:
        return Part(who.level, base_minor, 0, who, won, lost, reason=who.reason)
    amount, said, reason = min(won.amount_minor, room), won.arithmetic, None
    if amount < won.amount_minor:
        reason, said = "rate_cap", f"{said}, of which {room} is left under the cap"
    elif amount == 0:
        reason = "rounds_to_zero"
    return Part(who.level, base_minor, amount, who, won, lost, said, reason)


def standing_at(
    rule: CommissionRule, *, paid_at: datetime, fulfilled_at: datetime | None, now: datetime
) -> tuple[str, datetime | None]:
    """A commission's first status, and the end of its hold: never before the goods can no longer come back."""
    since = paid_at if rule.hold_from == "payment" else fulfilled_at
    if since is None:
        return "pending", None
    until = since + clock.days(rule.held_days())
    return ("held" if until > now else "payable"), until


@dataclass(frozen=True, slots=True)
class Row:
    """One stored commission row, as far as a reversal needs it."""

    amount_minor: int
    status: str


@dataclass(frozen=True, slots=True)
class Reversal:
    """What takes back (a part of) one commission: a negative row of `amount_minor`, and what moves in which bucket.

    `closes`: the rows now net to zero, and none of them is in a payout. `releases`: they net to zero, but a part of
    them was paid out; what still waits for its hold becomes payable, to make up for that. `moves`: bucket → amount, of
    the member's accounts.
    """

    amount_minor: int
    closes: bool
    moves: dict[str, int]
    releases: bool = False


def reversal(rows: Sequence[Row], *, line_minor: int, refunded_minor: int) -> Reversal | None:
    """`rows`: the commission and its negative rows so far; `refunded_minor`: of the line, this refund included.

    None where nothing is due (yet): rounding is cumulative, so a full refund in any number of parts takes back exactly
    what was earned. Of a rejected commission nothing is left to take back.
    """
    earned = next(row.amount_minor for row in rows if row.amount_minor > 0)
    taken = -sum(row.amount_minor for row in rows if row.amount_minor < 0)
    due = cumulative_part(earned, refunded_minor, line_minor) - taken
    return _taking(rows, due) if due > 0 else None


def require_rejectable(status: str, *, is_correction: bool) -> None:
    """Conflict with what it is already."""
    if is_correction:
        raise Conflict("commission_is_correction", "This row takes back another one, which `reverses` names.")
    if status not in REJECTABLE:
        raise Conflict(f"commission_{status}", f"The commission is {status}: too late to reject it.")


def rejection(rows: Sequence[Row]) -> Reversal | None:
    """All that refunds have left of it; None where that is nothing."""
    left = sum(row.amount_minor for row in rows)
    return _taking(rows, left) if left else None


def _taking(rows: Sequence[Row], due: int) -> Reversal:
    if due < sum(row.amount_minor for row in rows):
        return Reversal(-due, False, {"payable": -due})
    if any(row.status in SPENT for row in rows):
        return _made_up(rows, due)
    moves: dict[str, int] = {}
    for row in rows:
        moves[row.status] = moves.get(row.status, 0) - row.amount_minor
    return Reversal(-due, True, moves)


def _made_up(rows: Sequence[Row], due: int) -> Reversal:
    """What was refunded before was taken from a payout already: left waiting, what it was taken of might never come."""
    first = next(row for row in rows if row.amount_minor > 0)
    if first.status not in WAITING:
        return Reversal(-due, False, {"payable": -due})
    moves = {first.status: -first.amount_minor, "payable": first.amount_minor - due}
    return Reversal(-due, False, moves, releases=True)
