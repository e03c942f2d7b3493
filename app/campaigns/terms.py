"""What may not be in the terms of a commission, and the most they can cost, whoever buys what from whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from app.campaigns.document import CommissionLevel, CommissionRule, PromoterTier
from app.kit.errors import FieldError
from app.kit.money import share

MAX_LEVEL = 2


def faults(commission: CommissionRule) -> Iterator[FieldError]:
    yield from _level_faults(commission.levels, "/commission/levels")
    for position, rule in enumerate(commission.rules):
        yield from _level_faults(rule.levels, f"/commission/rules/{position}/levels")
    yield from _rule_faults(commission)
    yield from _tier_faults(commission.tiers)
    yield from _cap_faults(commission)


def _level_faults(levels: Sequence[CommissionLevel], pointer: str) -> Iterator[FieldError]:
    for position, level in enumerate(levels):
        place = f"{pointer}/{position}"
        if not 1 <= level.level <= MAX_LEVEL:
            detail = f"Commission is paid on levels 1 and {MAX_LEVEL} only; {level.level} is not one of them."
            yield FieldError(f"{place}/level", "commission_level_not_allowed", detail)
        if (level.rate_bps is None) == (level.amount_minor is None):
            detail = "A level has exactly one of `rate_bps` and `amount_minor`."
            yield FieldError(place, "commission_level_ambiguous", detail)
    for number in repeated(level.level for level in levels):
        yield FieldError(pointer, "commission_level_repeated", f"Level {number} is there twice.")


def _rule_faults(commission: CommissionRule) -> Iterator[FieldError]:
    for key in repeated(rule.key for rule in commission.all_rules()):
        yield FieldError("/commission/rules", "commission_rule_key_repeated", f"The key `{key}` names two rules.")
    tiers = {tier.key for tier in commission.tiers}
    for position, rule in enumerate(commission.rules):
        if rule.tier is not None and rule.tier not in tiers:
            detail = f"There is no tier `{rule.tier}` in `commission.tiers`."
            yield FieldError(f"/commission/rules/{position}/tier", "commission_tier_unknown", detail)


def _tier_faults(tiers: Sequence[PromoterTier]) -> Iterator[FieldError]:
    for key in repeated(tier.key for tier in tiers):
        yield FieldError("/commission/tiers", "commission_tier_key_repeated", f"The key `{key}` names two tiers.")
    for position, tier in enumerate(tiers):
        place = f"/commission/tiers/{position}"
        if tier.min_orders is None and tier.min_amount_minor is None:
            detail = "A tier is reached by `min_orders`, by `min_amount_minor`, or by either."
            yield FieldError(place, "commission_tier_unreachable", detail)
        for name in ("min_orders", "min_amount_minor"):
            if not _rises(tiers[:position], tier, name):
                detail = "Tiers come lowest first: each asks for more than those before."
                yield FieldError(f"{place}/{name}", "commission_tiers_not_rising", detail)


def _rises(below: Sequence[PromoterTier], tier: PromoterTier, name: str) -> bool:
    wanted, known = getattr(tier, name), [getattr(one, name) for one in below]
    return wanted is None or all(other is None or other < wanted for other in known)


def _cap_faults(commission: CommissionRule) -> Iterator[FieldError]:
    cap = commission.rate_cap_bps
    for product in products(commission):
        rates = _dearest(commission, product, lambda level: level.rate_bps or 0)
        if rates > cap:
            place, of = ("/commission/levels", "") if product is None else ("/commission/rules", f" for `{product}`")
            detail = f"The levels' rates add up to {rates} bps{of}, above the cap of {cap} bps of what was paid."
            yield FieldError(place, "commission_rate_cap_exceeded", detail)


def dearest(commission: CommissionRule, price_minor: int, product: str | None) -> int:
    """The most that a line of this product and price can earn all levels together, before the cap."""
    return _dearest(commission, product, lambda level: level.amount_minor or share(price_minor, level.rate_bps or 0))


def products(commission: CommissionRule) -> list[str | None]:
    """Those that rules speak of, after None for all others."""
    return [None, *sorted({rule.product for rule in commission.rules if rule.product is not None})]


def _dearest(commission: CommissionRule, product: str | None, cost: Callable[[CommissionLevel], int]) -> int:
    """Two earners can be of any two tiers, and a rule for a tier holds for those above it: so the dearest pair is the
    dearest rule of each level."""
    most: Counter[int] = Counter()
    for rule in commission.all_rules():
        own: Counter[int] = Counter()
        for level in rule.levels if rule.product in (None, product) else ():
            own[level.level] += cost(level)
        most |= own
    return most.total()


def repeated(values: Iterable[Any]) -> list[Any]:
    return [value for value, times in Counter(values).items() if times > 1]
