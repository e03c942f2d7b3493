"""What an order or a refund must be. Integer minor units."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.campaigns.rules import CLOCK_SKEW
from app.kit import crypto
from app.kit.errors import Conflict, FieldError, Unprocessable

WHOLE = "whole"  # the line of an order that came without lines


@dataclass(frozen=True, slots=True)
class NewLine:
    external_line_id: str
    amount_minor: int
    product: str | None = None


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order as it was sent: the buyer is named by one of `participant_id` and `member_id`."""

    campaign_id: str
    external_order_id: str
    amount_minor: int
    currency: str
    paid_at: datetime
    participant_id: str | None = None
    member_id: str | None = None
    lines: tuple[NewLine, ...] = ()
    shipping_minor: int = 0
    tax_minor: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def lines_or_whole(self) -> tuple[NewLine, ...]:
        return self.lines or (NewLine(WHOLE, self.amount_minor),)

    def fingerprint(self, participant_id: str) -> bytes:
        """Equal for equal content, whichever way the buyer was named and the lines were ordered."""
        return _digest(
            campaign=self.campaign_id,
            participant=participant_id,
            amounts=[self.amount_minor, self.shipping_minor, self.tax_minor, self.currency],
            paid_at=self.paid_at.astimezone(UTC).isoformat(),
            lines=sorted([line.external_line_id, line.amount_minor, line.product or ""] for line in self.lines),
            metadata=dict(self.metadata),
        )


@dataclass(frozen=True, slots=True)
class NewRefund:
    """A refund as it was sent; without `lines` it is spread over all of them."""

    external_refund_id: str
    amount_minor: int
    currency: str | None = None
    refunded_at: datetime | None = None
    lines: tuple[NewLine, ...] = ()

    def fingerprint(self, external_order_id: str) -> bytes:
        lines = sorted([line.external_line_id, line.amount_minor] for line in self.lines)
        return _digest(order=external_order_id, amount=self.amount_minor, lines=lines)


def _digest(**content: Any) -> bytes:
    return crypto.fingerprint(json.dumps(content, sort_keys=True, ensure_ascii=False))


def check_order(order: NewOrder, *, currency: str, now: datetime) -> None:
    """Unprocessable for what no campaign in whatever state would take."""
    if order.currency != currency:
        raise misfit("currency_mismatch", f"The campaign sells in {currency}.", "/currency")
    if order.paid_at > now + CLOCK_SKEW:
        raise misfit("paid_at_in_future", "An order is reported once it is paid; check the clock.", "/paid_at")
    if order.lines:
        check_lines(order.lines, order.amount_minor)


def check_refund(refund: NewRefund, *, now: datetime) -> None:
    """Unprocessable for what no order would take."""
    if refund.refunded_at is not None and refund.refunded_at > now + CLOCK_SKEW:
        raise misfit("refunded_at_in_future", "A refund is reported once it is made; check the clock.", "/refunded_at")
    if refund.lines:
        check_lines(refund.lines, refund.amount_minor)


def check_refunded_at(refunded_at: datetime, *, paid_at: datetime) -> None:
    """Unprocessable for what was given back before it came."""
    if refunded_at < paid_at - CLOCK_SKEW:
        raise misfit("refunded_at_before_payment", f"It was paid at {paid_at.isoformat()}.", "/refunded_at")


def check_lines(lines: Sequence[NewLine], amount_minor: int) -> None:
    names = [line.external_line_id for line in lines]
    if len(set(names)) < len(names):
        raise misfit("line_repeated", "Two lines have the same `external_line_id`.", "/lines")
    total = sum(line.amount_minor for line in lines)
    if total != amount_minor:
        detail = f"The lines add up to {total}, the amount is {amount_minor} (minor units)."
        raise misfit("lines_sum_mismatch", detail, "/lines")


def require_same(known: bytes, sent: bytes, *, noun: str) -> None:
    """Conflict `external_<noun>_id_reused` where an id that is known came with other content."""
    if known != sent:
        detail = f"This `external_{noun}_id` came before with other content; nothing was changed."
        raise Conflict(f"external_{noun}_id_reused", detail)


def require_same_currency(known: str | None, sent: str | None) -> None:
    """Conflict where a refund that is known came in another one. Left out it is the order's, whatever that is."""
    if known is not None and sent not in {None, known}:
        raise Conflict("external_refund_id_reused", f"This `external_refund_id` came before in {known}.")


def status_after(amount_minor: int, refunded_minor: int) -> str:
    if refunded_minor == 0:
        return "paid"
    return "refunded" if refunded_minor == amount_minor else "partly_refunded"


def to_fulfil(
    status: str, paid_at: datetime, fulfilled_at: datetime | None, *, wanted: datetime | None, now: datetime
) -> bool:
    """Whether there is anything left to do; `wanted` is the instant that was sent, if any."""
    if fulfilled_at is not None:
        if wanted in (None, fulfilled_at):
            return False
        detail = f"This order was fulfilled at {fulfilled_at.isoformat()}; nothing was changed."
        raise Conflict("order_already_fulfilled", detail)
    if status == "refunded":
        raise Conflict("order_refunded", "Nothing is left of this order to fulfil.")
    if wanted is not None and wanted > now + CLOCK_SKEW:
        raise misfit("fulfilled_at_in_future", "An order is fulfilled once it is; check the clock.", "/fulfilled_at")
    if wanted is not None and wanted < paid_at:
        raise misfit("fulfilled_at_before_payment", f"It was paid at {paid_at.isoformat()}.", "/fulfilled_at")
    return True


def misfit(code: str, detail: str, pointer: str) -> Unprocessable:
    return Unprocessable(code, detail, errors=[FieldError(pointer, code, detail)])
