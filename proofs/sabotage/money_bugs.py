"""Bugs of money such as one might write, each of which some proof must find."""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections.abc import Callable
from dataclasses import replace as changed
from itertools import accumulate, pairwise
from typing import Any

from sqlalchemy import func, select

from app.campaigns.document import CommissionRule
from app.models import Commission
from app.orders.spreading import Taken
from proofs.sabotage import named
from proofs.sabotage.seams import replace


def _instead(place: str, make: Callable[[Any], Any]) -> None:
    replace(place, lambda original: functools.wraps(original)(make(original)))


@named("refund-forgets-earlier-parts")
def _() -> None:
    """Each part is reckoned from the beginning, as if nothing had been taken back yet."""

    def make(reversal: Any) -> Any:
        def patched(rows: Any, **given: Any) -> Any:
            return reversal([row for row in rows if row.amount_minor > 0], **given)

        return patched

    _instead("app.commissions.rules:reversal", make)


@named("refund-cut-by-differences")
def _() -> None:
    """What names no line is cut over what is left of the lines, each refund for itself."""

    def make(spread: Any) -> Any:
        def patched(refund: Any, lines: Any, **given: Any) -> Any:
            if refund.lines:
                return spread(refund, lines, **given)
            left = [line.amount_minor - line.refunded_minor for line in lines]
            ends = [refund.amount_minor * passed // sum(left) for passed in accumulate(left, initial=0)]
            parts = zip(lines, pairwise(ends), strict=True)
            return {line.external_line_id: Taken(due - given_, 0) for line, (given_, due) in parts if due > given_}

        return patched

    _instead("app.orders.spreading:spread", make)


@named("order-counted-twice")
def _() -> None:
    """The order's own id is not looked for: sent again it is another order."""
    seen: set[str] = set()

    def renamed(row_of: Any) -> Any:
        def patched(*args: Any, **given: Any) -> Any:
            row = row_of(*args, **given)
            if row.external_order_id in seen:
                row.external_order_id += secrets.token_hex(4)
            seen.add(row.external_order_id)
            return row

        return patched

    _instead("app.orders.opening:_known", lambda _known: lambda *_: None)
    _instead("app.orders.service:_row", renamed)


@named("refund-counted-twice")
def _() -> None:
    """A refund that is sent again is another refund."""

    def make(claim: Any) -> Any:
        async def patched(session: Any, merchant_id: str, order: str, refund: Any, now: Any) -> Any:
            renamed = changed(refund, external_refund_id=f"{refund.external_refund_id}-{secrets.token_hex(4)}")
            return await claim(session, merchant_id, order, renamed, now)

        return patched

    _instead("app.orders.refunds:_claim", make)


@named("release-without-lock")
def _() -> None:
    """Members are taken for free without holding their accounts, and some time passes until the rows are moved."""

    def make(_try_lock: Any) -> Any:
        async def patched(_session: Any, *, member_ids: Any, **_given: Any) -> Any:
            await asyncio.sleep(0.01)
            return frozenset(member_ids)

        return patched

    _instead("app.ledger.service:try_lock", make)


@named("withdrawal-read-before-lock")
def _() -> None:
    """What a withdrawal pays was read before the member's accounts were held."""

    def make(take: Any) -> Any:
        async def patched(session: Any, *, merchant_id: str, **given: Any) -> Any:
            payable = (
                select(Commission.member_id, func.sum(Commission.amount_minor))
                .where(Commission.merchant_id == merchant_id, Commission.status == "payable")
                .group_by(Commission.member_id)
            )
            read = {member: int(minor) for member, minor in await session.execute(payable)}
            await asyncio.sleep(0.4)
            taken = await take(session, merchant_id=merchant_id, **given)
            for withdrawal in taken:
                withdrawal.amount_minor = read[withdrawal.member_id]
            await session.flush()
            return taken

        return patched

    _instead("app.payouts.moves:take", make)


@named("payout-key-remade")
def _() -> None:
    """Each try at the provider has a key of its own."""
    _instead(
        "app.payouts.rails.rules:transfer_key",
        lambda key_of: lambda payout_id: f"{key_of(payout_id)[:-6]}{secrets.randbelow(10**6):06d}",
    )


@named("results-believed-again")
def _() -> None:
    """A row is followed whatever was recorded before."""

    def make(_compare: Any) -> Any:
        def patched(verdict: Any, row: Any, _known: Any, *_: Any) -> None:
            verdict.apply.append(row)

        return patched

    _instead("app.payouts.result_rules:_compare", make)


@named("hold-ignores-refund-window")
def _() -> None:
    assert CommissionRule(hold_days=1, refund_window_days=2).held_days() == 2
    replace("app.campaigns.document:CommissionRule.held_days", lambda _held: lambda rule: rule.hold_days)
