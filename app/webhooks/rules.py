"""When a call is tried again, what counts as taken, and who wants what. Pure."""

from __future__ import annotations

from datetime import timedelta

TYPES = (
    "participant.created",
    "referral.created",
    "reward.granted",
    "reward.revoked",
    "reward.skipped",
    "order.paid",
    "order.refunded",
    "commission.held",
    "commission.payable",
    "commission.reversed",
    "commission.rejected",
    "commission.paid",
    "payout.paid",
    "payout.failed",
    "campaign.published",
    "campaign.ended",
    "risk.case_opened",
)

# After the n-th attempt wait so long; there are one more attempts than waits, over about a day and a half.
WAITS = tuple(timedelta(seconds=s) for s in (5, 60, 300, 1_800, 7_200, 28_800, 86_400))
MAX_ATTEMPTS = len(WAITS) + 1


def wait_after(attempts: int) -> timedelta | None:
    """How long to wait after this many failed attempts; None: give up."""
    return WAITS[attempts - 1] if attempts < MAX_ATTEMPTS else None


def is_taken(status: int) -> bool:
    return 200 <= status < 300


def wants(types: list[str], event_type: str) -> bool:
    """Whether an endpoint that asked for `types` (`*`: all) gets this event."""
    return "*" in types or event_type in types
