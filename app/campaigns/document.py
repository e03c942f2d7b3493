"""A campaign's rules as one immutable document; each version is kept, and copied onto what it decided."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.kit.money import MAX_MINOR

Trigger = Literal["signup", "phone_verified", "days_kept", "order_paid"]
Side = Literal["inviter", "invitee"]
DEFAULT_RULE = "default"
RewardKey = Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-z0-9_]+$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CommissionLevel(_Part):
    """Exactly one of `rate_bps` (of goods actually paid) and `amount_minor` (a fixed sum an order line)."""

    # Any integer is read, so that a third level is refused under a code of its own (see drafting.faults).
    level: Annotated[int, Field(strict=True, json_schema_extra={"enum": [1, 2]})]
    rate_bps: Annotated[int, Field(strict=True, ge=0, le=10_000)] | None = None
    amount_minor: Annotated[int, Field(strict=True, ge=0, le=10**12)] | None = None


class SpecialRule(_Part):
    """Levels for one product, for promoters from one tier up, or both. Of all that match the highest amount wins."""

    key: RewardKey
    product: Annotated[
        str | None,
        Field(min_length=1, max_length=120, description="As an order's line names it; null for every line."),
    ] = None
    tier: RewardKey | None = Field(default=None, description="For promoters of this tier and those above; null: all.")
    levels: Annotated[tuple[CommissionLevel, ...], Field(min_length=1)]


class PromoterTier(_Part):
    """Reached by itself once direct friends in this campaign have that many orders, or have paid that much, refunds
    taken off: either is enough."""

    key: RewardKey
    min_orders: Annotated[int, Field(strict=True, ge=1, le=10**9)] | None = None
    min_amount_minor: Annotated[int, Field(strict=True, ge=1, le=MAX_MINOR)] | None = None


class CommissionRule(_Part):
    """`levels` are the rule for everything, under the key `default`; `rules` are tried beside it.

    `self_purchase`: a promoter who buys stands at level 1 of the own order, and the inviter at level 2.
    """

    levels: tuple[CommissionLevel, ...] = ()
    rules: Annotated[tuple[SpecialRule, ...], Field(max_length=50)] = ()
    tiers: Annotated[tuple[PromoterTier, ...], Field(max_length=10, description="The lowest first.")] = ()
    self_purchase: Annotated[bool, Field(strict=True)] = False
    hold_from: Annotated[
        Literal["payment", "fulfilment"],
        Field(description="`fulfilment`: a commission is pending until its order is fulfilled."),
    ] = "payment"
    hold_days: Annotated[
        int, Field(strict=True, ge=0, le=365, description="Left out: 7 for goods, 15 for a service.")
    ] = 7
    refund_window_days: Annotated[
        int, Field(strict=True, ge=0, le=365, description="How long goods may come back: no hold is shorter.")
    ] = 0
    rate_cap_bps: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 5_000
    promoter_budget_minor: Annotated[
        Annotated[int, Field(strict=True, ge=0, le=MAX_MINOR)] | None,
        Field(description="The most that one participant can earn in this campaign, refunds taken off."),
    ] = None

    def held_days(self) -> int:
        return max(self.hold_days, self.refund_window_days)

    def all_rules(self) -> tuple[SpecialRule, ...]:
        """The one for everything first, where it has levels."""
        if not self.levels:
            return self.rules
        # Valid, as `levels` are; and each line of each order asks for it.
        return (SpecialRule.model_construct(key=DEFAULT_RULE, levels=self.levels), *self.rules)


class RewardDraft(_Part):
    """On `on` give `days` of membership to one side. `cap_days` bounds what one inviter can earn in all.

    `keep_days`: how long after the signup `days_kept` falls due, if the invite still stands by then.
    """

    key: RewardKey | None = None
    on: Trigger
    to: Side
    kind: Literal["membership_days"] = "membership_days"
    days: Annotated[int, Field(strict=True, ge=1, le=3_650)]
    cap_days: Annotated[int, Field(strict=True, ge=1, le=36_500)] | None = None
    keep_days: Annotated[int, Field(strict=True, ge=1, le=365)] | None = None


class RewardRule(RewardDraft):
    """A reward with its key: what tells this rule from others, and a grant of it from others, in every version."""

    key: RewardKey


class Binding(_Part):
    mode: Literal["permanent", "days", "override"] = "days"
    days: Annotated[int, Field(strict=True, ge=1, le=3_650)] | None = 30


class AttributionRule(_Part):
    model: Literal["first_touch", "last_touch"] = "first_touch"
    window_days: Annotated[int, Field(strict=True, ge=1, le=365)] = 30
    binding: Binding = Binding()


class RuleDocument(_Part):
    commission: CommissionRule = CommissionRule()
    rewards: tuple[RewardRule, ...] = ()
    attribution: AttributionRule = AttributionRule()
    new_members_only: bool = True


@lru_cache(1024)
def parsed(text: str) -> RuleDocument:
    """Of its JSON. By its text and not by its version: a version that was rolled back may come again as another."""
    return RuleDocument.model_validate_json(text)


@lru_cache(1024)
def copied(text: str) -> dict[str, Any]:
    """The commission rule of a document, as orders keep it; nobody changes it."""
    return parsed(text).commission.model_dump(mode="json")
