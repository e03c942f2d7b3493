"""Paths of the invite tree, who may take over a bound invitee, what is written down about it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.campaigns.document import AttributionRule
from app.kit import clock
from app.kit.errors import Conflict

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def segment(number: int) -> str:
    """A node's own piece of a path: `100` → `2s.`."""
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return f"{text or '0'}."


def numbers(path: str) -> list[int]:
    """From the root to the node itself."""
    return [int(part, 36) for part in path.split(".")[:-1]]


def is_in_subtree(path: str, *, root: str) -> bool:
    """Of the node itself, too. Pieces end with a dot, so that no number is the prefix of another."""
    return path.startswith(root)


def end_of_prefix(path: str) -> str:
    """The first string after all that begin with `path`, byte by byte: `/` follows the dot."""
    return path[:-1] + "/"


def binding_ends_at(rule: AttributionRule, now: datetime) -> datetime | None:
    """When another invite may take the invitee over; None where time alone does not decide."""
    if rule.binding.mode != "days" or rule.binding.days is None:
        return None
    return now + clock.days(rule.binding.days)


def may_take_over(
    rule: AttributionRule, *, bound: bool, ends_at: datetime | None, now: datetime, same: bool = False
) -> bool:
    """Whether a code that came with a repeated signup beats the binding there is.

    `same`: it is the inviter's own again, who has nothing to win but an end that is past.
    """
    if rule.binding.mode == "override":
        return not same
    return rule.binding.mode == "days" and bound and ends_at is not None and ends_at <= now


def decision(
    rule: AttributionRule,
    won: str,
    invite_code: str,
    *,
    visitor_id: str | None = None,
    before: str | None = None,
    note: str | None = None,
) -> dict[str, Any]:
    """Why this invite won, as kept with the referral; `before` is the inviter that lost."""
    reasons = {"visitor_id": visitor_id, "before": before, "note": note}
    return {
        "won": won,
        "model": rule.model,
        "binding": rule.binding.mode,
        "invite_code": invite_code,
        **{name: value for name, value in reasons.items() if value is not None},
    }


def require_no_cycle(*, inviter_path: str, invitee_path: str) -> None:
    """Conflict `referral_cycle` where the inviter is the invitee or anywhere below it: the whole chain is looked at."""
    if is_in_subtree(inviter_path, root=invitee_path):
        raise Conflict("referral_cycle", "The inviter stands below this participant: the chain would bite its tail.")
