"""What a provider has signed of a payment, field by field: what is odd is refused before anything is looked up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from app.kit.errors import Conflict
from app.orders.providers.protocol import Kind, Notice, State

BIGGEST = 2**63 - 1  # that Postgres keeps


class Amount(msgspec.Struct):
    """Of what nobody has paid, WeChat Pay tells no currency."""

    total: Annotated[int, msgspec.Meta(ge=0, le=BIGGEST)] | None = None
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")] | None = None


class Trade(msgspec.Struct):
    """In WeChat Pay's words, which the cashier speaks, too."""

    out_trade_no: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z_|*-]{1,64}\Z")]
    trade_state: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{1,32}\Z")]
    amount: Amount | None = None
    transaction_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z_-]{1,128}\Z")] | None = None
    success_time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


def read(
    fields: Mapping[str, Any], states: Mapping[str, State], *, provider: Kind, merchant_id: str, is_ours: bool
) -> Notice:
    """Conflict `notification_unreadable`, as of a payment without its amount, number or time."""
    try:
        told = msgspec.convert({name: value for name, value in fields.items() if value not in ("", None)}, Trade)
        paid_at = told.success_time and told.success_time.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError, UnicodeError) as fault:
        raise unreadable(str(fault)) from None
    state, amount = states.get(told.trade_state, "unknown"), told.amount or Amount()
    if state == "paid" and None in (amount.total, amount.currency, told.transaction_id, paid_at):
        raise unreadable("It tells of a payment without its amount, number or time.")
    return Notice(
        provider,
        merchant_id,
        told.out_trade_no,
        state,
        external_id=told.transaction_id,
        amount_minor=amount.total,
        currency=amount.currency,
        paid_at=paid_at,
        is_ours=is_ours,
    )


def unreadable(why: str) -> Conflict:
    return Conflict("notification_unreadable", f"Signed by the provider, and not to be understood: {why[:200]}")
