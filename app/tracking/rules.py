"""What counts as what: pure decisions over one event, and the sums over many."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from app.campaigns.rules import OVER, Dated
from app.tracking.hits import Hit, Outcome, Target, micros

DIRECT = "direct"
OTHER = "other"
DEDUPE_HORIZON = timedelta(hours=48)
CLOCK_TOLERANCE = timedelta(seconds=60)
_HORIZON_US = DEDUPE_HORIZON // timedelta(microseconds=1)
_TOLERANCE_US = CLOCK_TOLERANCE // timedelta(microseconds=1)
ALWAYS, NEVER = float("-inf"), float("inf")
_CHANNEL = re.compile(r"^[\w.\-]{1,32}$")

Totals = dict[tuple[Target, int, str], Counter[str]]
Visits = set[tuple[Target, int, str]]


def channel_of(given: str | None) -> str:
    """The channel in lower case; `direct` where none is named, `other` where the name cannot be one."""
    if not given:
        return DIRECT
    name = given.strip().lower()
    return name if _CHANNEL.match(name) else OTHER


@dataclass(frozen=True, slots=True)
class Life:
    """When events of a campaign count: before `begins_us` as nothing, from `ends_us` on as late."""

    begins_us: float
    ends_us: float

    def outcome(self, occurred_us: int, *, bot: bool) -> Outcome | None:
        """How the event counts; None where the campaign had not begun, and nothing counts."""
        if occurred_us >= self.ends_us:
            return "bot" if bot else "late"
        if occurred_us < self.begins_us:
            return None
        return "bot" if bot else "human"


def life_of(campaign: Dated) -> Life:
    """As `campaigns.rules.status_at` has it at any instant, worked out once; of what was before the beginning, too."""
    if campaign.status == "draft":
        return Life(NEVER, NEVER)
    begins_us = NEVER if campaign.status == "scheduled" else ALWAYS
    if campaign.starts_at is not None:
        begins_us = micros(campaign.starts_at)
    if campaign.status in OVER:
        ends = [micros(instant) for instant in (campaign.ended_at, campaign.ends_at) if instant is not None]
        return Life(begins_us, min(ends, default=ALWAYS))
    return Life(begins_us, NEVER if campaign.ends_at is None else micros(campaign.ends_at))


def refusal_of(occurred_us: int, now_us: int) -> str | None:
    """The code of the refusal of an instant that is not now, or None. Older ones could not be told from repeats."""
    if occurred_us > now_us + _TOLERANCE_US:
        return "occurred_at_in_the_future"
    if occurred_us < now_us - _HORIZON_US:
        return "occurred_at_too_old"
    return None


def totals(hits: Iterable[Hit]) -> Totals:
    """Counts by target, hour and channel."""
    found: Totals = {}
    for hit in hits:
        found.setdefault((hit.target, hit.hour, hit.channel), Counter())[hit.counter] += 1
    return found


def visits(hits: Iterable[Hit]) -> Visits:
    """Each visitor of each target once a day."""
    return {(hit.target, day, hit.visitor or "") for hit in hits if (day := hit.visit_day) is not None}


def campaigns(hits: Iterable[Hit]) -> set[tuple[UUID, UUID]]:
    """`(merchant, campaign)` of each."""
    return {(hit.target.merchant_id, hit.target.campaign_id) for hit in hits}
