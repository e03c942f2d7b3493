"""What may be called, when it is tried again, and what counts as taken. Pure."""

from __future__ import annotations

from datetime import timedelta

import httpx

from app.kit import addresses
from app.kit.errors import FieldError, Unprocessable

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


def check_url(url: str, *, development: bool) -> None:
    """Refuse an address that no delivery could ever go to; names are resolved, and checked, with each delivery."""
    fault = _fault(url, development=development)
    if fault is not None:
        error = FieldError("/url", "webhook_url_invalid", fault)
        raise Unprocessable("webhook_url_invalid", fault, errors=[error])


def _fault(url: str, *, development: bool) -> str | None:
    try:
        # As each delivery reads it: other readers overlook what this one refuses.
        parts = httpx.URL(url)
        host = parts.host
    except (httpx.InvalidURL, ValueError):
        return "The url cannot be read."
    if parts.port is not None and not 0 < parts.port < 65_536:
        return "The url has a port that there is not."
    if not host or parts.userinfo or parts.fragment:
        return "The url needs a host, and no user, password or fragment."
    address = addresses.literal(host)
    loopback = host == "localhost" or (address is not None and address.is_loopback)
    if parts.scheme != "https" and not (development and loopback and parts.scheme == "http"):
        return "The url must begin with https://."
    if (address is not None or loopback) and not addresses.may_call(address, development=development):
        return "The url points into a private network."
    return None
