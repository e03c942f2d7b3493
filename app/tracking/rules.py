"""What counts as what: pure decisions over one event, and the sums over many."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from app.campaigns.rules import OVER, Dated, status_at
from app.tracking.hits import Hit, Outcome, Target

DIRECT = "direct"
OTHER = "other"
DEDUPE_HORIZON = timedelta(hours=48)
CLOCK_TOLERANCE = timedelta(seconds=60)
_CHANNEL = re.compile(r"^[\w.\-]{1,32}$")

Totals = dict[tuple[Target, int, str], Counter[str]]
Visits = set[tuple[Target, int, str]]


def channel_of(given: str | None) -> str:
    """The channel in lower case; `direct` where none is named, `other` where the name cannot be one."""
    if not given:
        return DIRECT
    name = given.strip().lower()
    return name if _CHANNEL.match(name) else OTHER


def outcome_of(campaign: Dated, occurred_at: datetime, *, bot: bool) -> Outcome | None:
    """How the event counts; None where the campaign had not begun, and nothing counts."""
    status = status_at(campaign, occurred_at)
    if status in {"draft", "scheduled"}:
        return None
    if bot:
        return "bot"
    ended_at = min(filter(None, (campaign.ended_at, campaign.ends_at)), default=occurred_at)
    return "late" if status in OVER and occurred_at >= ended_at else "human"


def refusal_of(occurred_at: datetime, now: datetime) -> str | None:
    """The code of the refusal of an instant that is not now, or None. Older ones could not be told from repeats."""
    if occurred_at > now + CLOCK_TOLERANCE:
        return "occurred_at_in_the_future"
    if occurred_at < now - DEDUPE_HORIZON:
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
