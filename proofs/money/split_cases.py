"""Rules, orders and refunds as nobody would set them up, and which bounds they break. Pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.campaigns.document import CommissionLevel, CommissionRule, PromoterTier, SpecialRule
from app.commissions import budgets, rules
from app.commissions.matching import level_numbers
from app.commissions.rules import Invitation, Part, Row
from app.kit.money import BPS
from app.orders.rules import NewLine, NewRefund
from app.orders.spreading import Standing, spread

PAID_AT = datetime(2026, 11, 22, tzinfo=UTC)
PRODUCTS = (None, "book", "course")
TIERS = (PromoterTier(key="silver", min_orders=2), PromoterTier(key="gold", min_amount_minor=10_000))
_TIER_KEYS = (None, "silver", "gold")
_RATES = (0, 1, 33, 333, 1_000, 2_500, 3_000, 3_333, 5_000, 9_999, 10_000)
_AMOUNTS = (1, 2, 3, 7, 9, 99, 100, 101, 333, 5_900, 9_999, 10_001, 10**9 + 7, 10**15)


@dataclass(frozen=True, slots=True)
class Case:
    """`budget` and `promoters`: what is left of the campaign's and of each promoter's, None without one."""

    rule: CommissionRule
    chain: Sequence[Invitation]
    tier: str | None
    lines: Sequence[NewLine]
    budget: int | None
    promoters: Mapping[str, int] | None
    refunds: Sequence[NewRefund]


@dataclass(slots=True)
class Score:
    """`faults`: one a thing that broke; `seen`: what the cases had in them."""

    cases: int = 0
    faults: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)


def amount(dice: random.Random) -> int:
    return dice.choice(_AMOUNTS) if dice.random() < 0.4 else dice.randint(1, 10 ** dice.randint(1, 9))


def case(dice: random.Random) -> Case:
    lines = [NewLine(str(place), amount(dice), dice.choice(PRODUCTS)) for place in range(dice.choice((1, 1, 2, 3, 5)))]
    paid = sum(line.amount_minor for line in lines)
    chain = [
        Invitation(f"ptc{level}", f"mbr{dice.choice((level, level, level, 0))}", dice.random() < 0.9)
        for level in range(1, dice.randint(0, 3) + 1)
    ]
    budget = dice.choice((None, None, 0, 1, paid // 10, paid // 3, paid))
    promoters = None
    if dice.random() < 0.3:
        promoters = {one.participant_id: dice.choice((0, 1, paid // 20, paid)) for one in chain}
    return Case(rule(dice), chain, dice.choice(_TIER_KEYS), lines, budget, promoters, _refunds(dice, lines))


def rule(dice: random.Random) -> CommissionRule:
    keys = [None, *(tier.key for tier in TIERS)]
    special = tuple(
        SpecialRule(key=f"rule_{place}", product=dice.choice(PRODUCTS), tier=dice.choice(keys), levels=_levels(dice))
        for place in range(dice.choice((0, 0, 1, 2, 4)))
    )
    cap = dice.choice((0, 1, 3_333, 5_000, 5_000, 5_000, 10_000))
    return CommissionRule(levels=_levels(dice), rules=special, tiers=TIERS, rate_cap_bps=cap)


def _levels(dice: random.Random) -> tuple[CommissionLevel, ...]:
    return tuple(_level(dice, level) for level in sorted(dice.sample((1, 2), dice.choice((1, 2, 2)))))


def _level(dice: random.Random, level: int) -> CommissionLevel:
    if dice.random() < 0.25:
        return CommissionLevel(level=level, amount_minor=dice.choice((0, 1, 99, 1_000, 10**6)))
    return CommissionLevel(level=level, rate_bps=dice.choice(_RATES) if dice.random() < 0.5 else dice.randint(0, BPS))


def _refunds(dice: random.Random, lines: Sequence[NewLine]) -> list[NewRefund]:
    """In parts, of the whole or by line; to the last fen in most cases."""
    stand = _untouched(lines)
    found: list[NewRefund] = []
    for number in range(dice.randint(1, 6)):
        whole = sum(one.amount_minor - one.refunded_minor for one in stand.values())
        open_ = {
            name: min(one.amount_minor - one.named_minor, whole)
            for name, one in stand.items()
            if one.named_minor < one.amount_minor
        }
        if not whole:
            break
        if dice.random() < 0.5:
            name = dice.choice(list(open_))
            part = dice.choice((1, open_[name], dice.randint(1, open_[name])))
            refund = NewRefund(str(number), part, lines=(NewLine(name, part),))
        else:
            refund = NewRefund(str(number), dice.choice((1, whole, dice.randint(1, whole))))
        found.append(refund)
        _take(stand, refund)
    rest = sum(one.amount_minor - one.refunded_minor for one in stand.values())
    if dice.random() < 0.7 and rest:
        found.append(NewRefund("rest", rest))
    return found


def _untouched(lines: Sequence[NewLine]) -> dict[str, Standing]:
    return {line.external_line_id: Standing(line.external_line_id, line.amount_minor) for line in lines}


def _take(stand: dict[str, Standing], refund: NewRefund) -> dict[str, int]:
    """What the refund takes of each line, counted in."""
    found = spread(refund, list(stand.values()), currency="CNY")
    for name, taken in found.items():
        one = stand[name]
        sums = one.refunded_minor + taken.amount_minor, one.named_minor + taken.named_minor
        stand[name] = Standing(name, one.amount_minor, *sums)
    return {name: taken.amount_minor for name, taken in found.items()}


def check(given: Case, score: Score) -> None:
    score.cases += 1
    free = [_split(given, line) for line in given.lines]
    parts = budgets.within(free, campaign=given.budget, promoters=given.promoters)
    found = [*_split_faults(given, parts), *_clamp_faults(given, free, parts), *_refund_faults(given, parts, score)]
    score.seen["levels that earn"] += sum(part.amount_minor > 0 for line in parts for part in line)
    score.seen["parts that a budget cut"] += sum(
        one.amount_minor < all_.amount_minor for line, full in zip(parts, free, strict=True)
        for one, all_ in zip(line, full, strict=True)
    )  # fmt: skip
    score.seen["parts that the cap cut"] += sum(part.reason == "rate_cap" for line in free for part in line)
    if found:
        score.faults.append(f"{found[0]}: {given}")


def _split(given: Case, line: NewLine) -> list[Part]:
    who = rules.standings("mbr0", given.chain, levels=level_numbers(given.rule), bound_until=None, paid_at=PAID_AT)
    standing = {
        level: rules.Standing(one.level, one.participant_id, one.member_id, one.reason, tier=given.tier)
        for level, one in who.items()
    }
    return rules.split(line.amount_minor, given.rule, standing, product=line.product)


def _best(given: Case, line: NewLine, level: int) -> int:
    """What the best rule that matches would pay, without any bound: said again in other words."""
    keys = [None, *(tier.key for tier in given.rule.tiers)]
    reached = keys[: keys.index(given.tier) + 1]
    return max(
        (
            (found.amount_minor or 0) if found.rate_bps is None else line.amount_minor * found.rate_bps // 10_000
            for one in given.rule.all_rules()
            if one.product in (None, line.product) and one.tier in reached
            for found in one.levels
            if found.level == level
        ),
        default=0,
    )


def _split_faults(given: Case, parts: Sequence[Sequence[Part]]) -> list[str]:
    found = []
    for line, of_line in zip(given.lines, parts, strict=True):
        bound = min(line.amount_minor, line.amount_minor * given.rule.rate_cap_bps // 10_000)
        found += ["a part is below zero" for part in of_line if part.amount_minor < 0]
        found += ["parts above the base" for _ in [0] if sum(part.amount_minor for part in of_line) > line.amount_minor]
        found += ["parts above the cap" for _ in [0] if sum(part.amount_minor for part in of_line) > bound]
        for part in of_line:
            place = part.level - 1
            earns = (
                place < len(given.chain) and given.chain[place].is_promoter and given.chain[place].member_id != "mbr0"
            )
            most = _best(given, line, part.level) if earns else 0
            found += ["a part above the best rule" for _ in [0] if part.amount_minor > most]
    return found


def _clamp_faults(given: Case, free: Sequence[Sequence[Part]], parts: Sequence[Sequence[Part]]) -> list[str]:
    total, wanted = _total(parts), _total(free)
    found = ["a budget gave more" for _ in [0] if total > wanted]
    if given.budget is not None:
        found += ["above the campaign's budget" for _ in [0] if total > given.budget]
    if given.promoters is None:
        if total != min(wanted, wanted if given.budget is None else given.budget):
            found.append("a budget left something that was earned")
        return found
    for name, left in given.promoters.items():
        own = sum(part.amount_minor for line in parts for part in line if part.beneficiary_id == name)
        found += ["above the promoter's budget" for _ in [0] if own > left]
    return found


def _total(parts: Sequence[Sequence[Part]]) -> int:
    return sum(part.amount_minor for line in parts for part in line)


def _refund_faults(given: Case, parts: Sequence[Sequence[Part]], score: Score) -> list[str]:
    """Each refund's rows, until nothing is left of some lines or of all."""
    stand = _untouched(given.lines)
    rows = {
        (line.external_line_id, part.level): [Row(part.amount_minor, "held")]
        for line, of_line in zip(given.lines, parts, strict=True)
        for part in of_line
        if part.amount_minor
    }
    found = []
    for refund in given.refunds:
        taken = _take(stand, refund)
        if sum(taken.values()) != refund.amount_minor or min(taken.values()) < 0:
            found.append("a refund is spread wrongly")
        left = {name: one.amount_minor - one.refunded_minor for name, one in stand.items()}
        found += ["more of a line than was paid" for _ in [0] if min(left.values()) < 0]
        score.seen["refunds"] += 1
        for line in given.lines:
            if line.external_line_id in taken:
                found += _reverse(rows, line, left[line.external_line_id], score)
    return found + _cut_otherwise(given, stand)


def _cut_otherwise(given: Case, ended: Mapping[str, Standing]) -> list[str]:
    """The same refunds the other way round, and what names no line at once: the same of each line."""
    unnamed = sum(refund.amount_minor for refund in given.refunds if not refund.lines)
    named = [refund for refund in reversed(given.refunds) if refund.lines]
    again = _untouched(given.lines)
    for refund in [*([NewRefund("all", unnamed)] if unnamed else []), *named]:
        _take(again, refund)
    return ["another end in another order" for _ in [0] if again != ended]


def _reverse(rows: dict[tuple[str, int], list[Row]], line: NewLine, left: int, score: Score) -> list[str]:
    found = []
    for (name, _), family in rows.items():
        if name != line.external_line_id:
            continue
        taken = rules.reversal(family, line_minor=line.amount_minor, refunded_minor=line.amount_minor - left)
        if taken is not None:
            family.append(Row(taken.amount_minor, "payable"))
            score.seen["reversals"] += 1
        earned, kept = family[0].amount_minor, sum(row.amount_minor for row in family)
        found += ["more was taken back than was earned" for _ in [0] if kept < 0]
        found += ["a refund gave more" for _ in [0] if kept > earned or (taken and taken.amount_minor > 0)]
        found += ["a full refund left something" for _ in [0] if left == 0 and kept != 0]
        # Within a fen of its share, whatever the parts were.
        found += [
            "not in proportion" for _ in [0] if abs(kept * line.amount_minor - earned * left) >= line.amount_minor
        ]
    return found
