"""How a payout moves by what its provider says. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from app.payouts.rails.protocol import Answer

Status = Literal["submitting", "awaiting_payee", "unknown", "paid", "failed"]

OPEN = ("created", "submitting", "awaiting_payee", "unknown")
# WeChat Pay tells of a bill for 30 days; from then on, that there is none means nothing.
TOLD_FOR = timedelta(days=29)
STUCK_AFTER = timedelta(hours=1)
# Longer than a claim holds: what was on its way when the transfer was given up has arrived by then.
GIVEN_UP_AFTER = timedelta(minutes=5)
# After the n-th time that nothing was settled, ask again after so long; the last one for ever.
WAITS = tuple(timedelta(seconds=s) for s in (2, 5, 15, 60, 300, 900, 3_600))
# A person has to look at a phone: asking more often than that helps nobody.
PAYEE_WAITS = tuple(timedelta(seconds=s) for s in (10, 60, 300, 900))
# A first call may still be under way while a second one is refused and its key is not known yet.
REFUSALS_BELIEVED_FROM = 4
_OPEN: dict[str, Status] = {"processing": "submitting", "not_now": "submitting", "awaiting_payee": "awaiting_payee"}


@dataclass(frozen=True, slots=True)
class Move:
    """The payout's next status; `wait` until its provider is asked again, None where it is settled."""

    status: Status
    wait: timedelta | None


def transfer_key(payout_id: str) -> str:
    """29 letters and digits, as every provider takes them; of the payout's id, so that no error can change it."""
    return f"ivt{payout_id.rpartition('_')[2]}"


def is_still_told(*, sent_at: datetime | None, now: datetime) -> bool:
    """Whether a provider still knows each transfer of a batch that was handed over then."""
    return sent_at is not None and now - sent_at < TOLD_FOR


def trusts_not_found(
    *, external_id: str | None, sent_at: datetime | None, cancel_asked_at: datetime | None, now: datetime
) -> bool:
    """Whether "there is no such transfer" means that none was made, and none is being made."""
    is_quiet = cancel_asked_at is None or now - cancel_asked_at >= GIVEN_UP_AFTER
    return external_id is None and is_quiet and is_still_told(sent_at=sent_at, now=now)


def is_for_people(
    *, external_id: str | None, moved_at: datetime | None, sent_at: datetime | None, now: datetime
) -> bool:
    """Whether people may say what became of an unknown payout: nothing is ever sent for it again, and its provider has
    had its time to tell."""
    was_asked_after = moved_at is not None and now - moved_at >= STUCK_AFTER
    return was_asked_after and (external_id is not None or not is_still_told(sent_at=sent_at, now=now))


def next_move(answer: Answer, *, attempts: int, cancelling: bool) -> Move:
    """`attempts`: claims so far; `cancelling`: the merchant has asked that the transfer be given up."""
    if answer.state == "paid":
        return Move("paid", None)
    if answer.state == "failed" or (answer.state == "refused" and _is_believed(attempts)):
        return Move("failed", None)
    if answer.state == "not_found" and cancelling and attempts >= REFUSALS_BELIEVED_FROM:
        return Move("failed", None)
    waits = PAYEE_WAITS if answer.state == "awaiting_payee" and not cancelling else WAITS
    return Move(_OPEN.get(answer.state, "unknown"), waits[min(attempts, len(waits)) - 1])


def _is_believed(attempts: int) -> bool:
    return attempts == 1 or attempts >= REFUSALS_BELIEVED_FROM
