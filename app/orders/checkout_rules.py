"""How a checkout moves by what its provider says, and when it is asked. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from app.orders.providers.protocol import Notice, Way

Purpose = Literal["order", "plan", "top_up"]
Status = Literal["open", "paid", "expired", "failed", "refund_due", "refunded"]

OPEN_FOR = timedelta(minutes=15)
MOST_PIECES = 1_000
# A payer who is at it may come back from it any moment; after the n-th look, wait so long; the last one for ever.
LOOKS = tuple(timedelta(seconds=s) for s in (10, 20, 30, 60, 120))
REFUND_LOOKS = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600, 3_600))
# How long a checkout may hold its stock past its end while its provider does not answer.
UNANSWERED_FOR = timedelta(minutes=10)
# Whoever did not answer then may have taken the money: it is asked on, for as long as it tells of such payments.
LATE_LOOK = timedelta(hours=1)
ASKED_FOR = timedelta(days=3)
SILENT_FOR = timedelta(days=1)


def expires_at(now: datetime, *, ends_at: datetime | None) -> datetime:
    """What is paid after the end of its campaign is no order of it any more."""
    end = now + OPEN_FOR
    return end if ends_at is None else min(end, ends_at)


def next_look(now: datetime, *, attempts: int, expires_at: datetime) -> datetime:
    """When the provider of a payment that was begun is asked again: at the end of the checkout at the latest."""
    look = now + LOOKS[min(attempts, len(LOOKS) - 1)]
    return min(look, expires_at) if now < expires_at else look


@dataclass(frozen=True, slots=True)
class End:
    """`look_at`: when the provider is asked once more though the checkout is over."""

    is_given_up: bool
    look_at: datetime | None


def end_of_look(now: datetime, *, is_answered: bool, is_unclosed: bool, expires_at: datetime) -> End:
    """What a look that settled nothing means for the checkout's life. `is_unclosed`: the provider was told to close the
    payment, and says that it still waits for the payer, who may be done any moment."""
    look_at = now + LATE_LOOK if now < expires_at + ASKED_FOR else None
    if is_answered:
        return End(is_given_up=expires_at <= now, look_at=look_at if is_unclosed else None)
    return End(is_given_up=expires_at + UNANSWERED_FOR <= now, look_at=look_at)


def next_refund_look(now: datetime, *, attempts: int) -> datetime:
    return now + REFUND_LOOKS[min(attempts, len(REFUND_LOOKS) - 1)]


def is_for_people(payback: str | None, *, asked_for_at: datetime, now: datetime) -> bool:
    """Whether two people may decide what becomes of a refund: where nothing can be under way any more, or its provider
    has told nothing for a day. One that is being carried out is not theirs."""
    if payback == "unknown":
        return asked_for_at + SILENT_FOR <= now
    return payback in {"refused", "parked"}


def way(provider: str, *, in_wechat: bool, has_openid: bool) -> Way | None:
    """How a payer goes on from this browser; None where it cannot: WeChat's own pays by openid alone."""
    if provider == "sandbox":
        return "cashier"
    if not in_wechat:
        return "h5"
    return "jsapi" if has_openid else None


def misfit(notice: Notice, *, provider: str, amount_minor: int, currency: str, external_id: str | None) -> str | None:
    """Why a notice is not of this checkout, as a code; `external_id` is the payment's that is known already."""
    if notice.provider != provider:
        return "provider_mismatch"
    if not notice.is_ours:
        return "merchant_mismatch"
    if notice.state != "paid":
        return None
    if notice.amount_minor != amount_minor:
        return "amount_mismatch"
    if notice.currency != currency:
        return "currency_mismatch"
    if external_id is not None and notice.external_id != external_id:
        return "paid_twice"
    return None


def paid_at(told: datetime | None, *, now: datetime, starts_at: datetime | None) -> datetime:
    """When it was paid, as the provider says, within what the books take: in no future, and not before the campaign."""
    instant = now if told is None else min(told, now)
    return instant if starts_at is None else max(instant, starts_at)
