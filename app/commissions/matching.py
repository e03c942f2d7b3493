"""Which rules match a line and an earner, and which of them wins: the highest amount, ties by key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.campaigns.document import CommissionLevel, CommissionRule, PromoterTier
from app.kit.money import BPS, share


@dataclass(frozen=True, slots=True)
class Offer:
    """What one rule would pay a level of a line, before any cap."""

    rule_key: str
    rate_bps: int | None
    amount_minor: int
    arithmetic: str


@dataclass(frozen=True, slots=True)
class Performance:
    """What a promoter's direct friends bought in the campaign so far, refunds taken off."""

    orders: int
    amount_minor: int


def tier_reached(tiers: Sequence[PromoterTier], done: Performance) -> str | None:
    """The highest tier that has what it asks for, by orders or by amount."""
    return next((tier.key for tier in reversed(tiers) if _is_reached(tier, done)), None)


def _is_reached(tier: PromoterTier, done: Performance) -> bool:
    by_orders = tier.min_orders is not None and done.orders >= tier.min_orders
    return by_orders or (tier.min_amount_minor is not None and done.amount_minor >= tier.min_amount_minor)


def offers(
    commission: CommissionRule, *, level: int, base_minor: int, product: str | None, tier: str | None
) -> list[Offer]:
    """Of every rule that matches, the winner first. A rule for a tier holds for those above it, too."""
    keys = [one.key for one in commission.tiers]
    reached = {None, *keys[: keys.index(tier) + 1 if tier else 0]}
    matching = [
        _offer(rule.key, found, base_minor)
        for rule in commission.all_rules()
        if rule.product in (None, product) and rule.tier in reached
        for found in rule.levels
        if found.level == level
    ]
    return sorted(matching, key=lambda offer: (-offer.amount_minor, offer.rule_key))


def _offer(rule_key: str, level: CommissionLevel, base_minor: int) -> Offer:
    if level.rate_bps is None:
        fixed = level.amount_minor or 0
        return Offer(rule_key, None, fixed, f"fixed sum of {fixed}")
    amount = share(base_minor, level.rate_bps)
    exact = base_minor * level.rate_bps % BPS == 0
    arithmetic = f"{base_minor} × {level.rate_bps} ÷ {BPS} {'=' if exact else '→ floor'} {amount}"
    return Offer(rule_key, level.rate_bps, amount, arithmetic)


def level_numbers(commission: CommissionRule) -> list[int]:
    """The levels that any rule pays, nearest first."""
    return sorted({level.level for rule in commission.all_rules() for level in rule.levels})
