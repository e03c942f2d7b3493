"""Who earns what of an order line, and what a refund takes back. Integer minor units; floor once per line and level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.campaigns.document import CommissionLevel, CommissionRule
from app.kit import clock
from app.kit.money import BPS, cumulative_part, share

SPENT = frozenset({"in_payout", "paid"})


@dataclass(frozen=True, slots=True)
class Standing:
    """Who stood at a level of the buyer's chain when it paid, or why nobody there earns.

    `replaced_at`: when somebody else took the place, None where it is as it was.
    """

    level: int
    participant_id: str | None = None
    member_id: str | None = None
    reason: str | None = None
    replaced_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What one level gets of one line. `reason` says why it is nothing, or less than the rate (`rate_cap`)."""

    level: int
    beneficiary_id: str | None
    member_id: str | None
    base_minor: int
    rate_bps: int | None
    amount_minor: int
    arithmetic: str | None
    reason: str | None
    replaced_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """One step up the buyer's chain, as it was when the order was paid."""

    participant_id: str
    member_id: str
    is_promoter: bool
    replaced_at: datetime | None = None


def standings(
    buyer_member_id: str,
    chain: Sequence[Invitation],
    *,
    levels: Iterable[int],
    bound_until: datetime | None,
    paid_at: datetime,
    replaced_at: datetime | None = None,
) -> dict[int, Standing]:
    """`chain`: the buyer's ancestors at `paid_at`, nearest first; `bound_until`: when that binding ends, None for
    never; `replaced_at`: when it was replaced by another one, None where it was not."""
    expired = bound_until is not None and paid_at >= bound_until
    found = {level: _standing(buyer_member_id, chain, level, expired=expired) for level in levels}
    return {level: replace(one, replaced_at=one.replaced_at or replaced_at) for level, one in found.items()}


def _standing(buyer_member_id: str, chain: Sequence[Invitation], level: int, *, expired: bool) -> Standing:
    if len(chain) < level:
        return Standing(level, reason="no_inviter")
    inviter = chain[level - 1]
    reason = None
    if expired:
        reason = "binding_ended"
    elif inviter.member_id == buyer_member_id:
        reason = "self_purchase"
    elif not inviter.is_promoter:
        reason = "not_promoter"
    return Standing(level, inviter.participant_id, inviter.member_id, reason, inviter.replaced_at)


def split(base_minor: int, rule: CommissionRule, who: Mapping[int, Standing]) -> list[Part]:
    """The parts of one line, nearest level first. Each ≥ 0, together never above the cap, so never above the base."""
    room = min(base_minor, share(base_minor, rule.rate_cap_bps))
    parts: list[Part] = []
    for level in sorted(rule.levels, key=lambda level: level.level):
        part = _part(base_minor, level, who[level.level], room)
        room -= part.amount_minor
        parts.append(part)
    return parts


def _part(base_minor: int, level: CommissionLevel, standing: Standing, room: int) -> Part:
    wanted, arithmetic = _wanted(base_minor, level)
    reason = standing.reason
    if reason is not None:
        amount, said = 0, None
    else:
        amount, said = min(wanted, room), arithmetic
        if amount < wanted:
            reason, said = "rate_cap", f"{arithmetic}, of which {room} is left under the cap"
        elif amount == 0:
            reason = "rounds_to_zero"
    return Part(
        level.level,
        standing.participant_id,
        standing.member_id,
        base_minor,
        level.rate_bps,
        amount,
        said,
        reason,
        standing.replaced_at,
    )


def _wanted(base_minor: int, level: CommissionLevel) -> tuple[int, str]:
    if level.rate_bps is None:
        fixed = level.amount_minor or 0
        return fixed, f"fixed sum of {fixed}"
    amount = share(base_minor, level.rate_bps)
    exact = base_minor * level.rate_bps % BPS == 0
    return amount, f"{base_minor} × {level.rate_bps} ÷ {BPS} {'=' if exact else '→ floor'} {amount}"


def hold_until(paid_at: datetime, rule: CommissionRule) -> datetime:
    return paid_at + clock.days(rule.hold_days)


@dataclass(frozen=True, slots=True)
class Row:
    """One stored commission row, as far as a reversal needs it."""

    amount_minor: int
    status: str


@dataclass(frozen=True, slots=True)
class Reversal:
    """What one refund does to one commission: a negative row of `amount_minor`, and what moves in which bucket.

    `closes`: the rows now net to zero and all become `reversed`. `moves`: bucket → amount, of the member's accounts.
    """

    amount_minor: int
    closes: bool
    moves: dict[str, int]


def reversal(rows: Sequence[Row], *, line_minor: int, refunded_minor: int) -> Reversal | None:
    """`rows`: the commission and its negative rows so far; `refunded_minor`: of the line, this refund included.

    None where nothing is due (yet): rounding is cumulative, so a full refund in any number of parts takes back exactly
    what was earned. A rejected commission has no money behind it to take back.
    """
    if any(row.status == "rejected" for row in rows):
        return None
    earned = next(row.amount_minor for row in rows if row.amount_minor > 0)
    taken = -sum(row.amount_minor for row in rows if row.amount_minor < 0)
    due = cumulative_part(earned, refunded_minor, line_minor) - taken
    if due == 0:
        return None
    if due < earned - taken or any(row.status in SPENT for row in rows):
        return Reversal(-due, False, {"payable": -due})
    moves: dict[str, int] = {}
    for row in rows:
        moves[row.status] = moves.get(row.status, 0) - row.amount_minor
    return Reversal(-due, True, moves)
