"""What providers say of payments, followed or set aside. A notice that does not fit changes no state and no money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import crypto, ids
from app.kit.errors import Conflict, NotFound
from app.models import Checkout, PaymentNotice
from app.orders import checkout as checkouts
from app.orders import metrics
from app.orders.checkout import Misfit
from app.orders.providers.protocol import Notice

ToldBy = Literal["notification", "query"]


async def take(session: AsyncSession, *, notice: Notice, told_by: ToldBy, now: datetime) -> Checkout:
    """As `checkout.settle`. Conflict with the code of what does not fit, after it was set aside: that much is kept."""
    own = {"merchant_id": notice.merchant_id, "checkout_id": notice.checkout_id}
    try:
        before = (await checkouts.hold(session, **own)).status
        checkout = await checkouts.settle(session, notice=notice, now=now)
    except (Misfit, NotFound) as misfit:
        await _park(session, notice, misfit.code, now)
        metrics.PARKED.labels(notice.provider, misfit.code).inc()
        raise Conflict(misfit.code, misfit.detail, kept=True) from misfit
    if checkout.status != before and checkout.status == "paid":
        metrics.SETTLED.labels(notice.provider, told_by).inc()
    if checkout.status != before and checkout.status == "refund_due":
        metrics.REFUND_DUE.labels(notice.provider, checkout.reason or "").inc()
    return checkout


async def _park(session: AsyncSession, notice: Notice, code: str, now: datetime) -> None:
    """One row however often it comes: providers repeat what is not acknowledged."""
    content = "\0".join(
        str(part)
        for part in (notice.key, notice.state, notice.external_id, notice.amount_minor, notice.currency, notice.is_ours)
    )
    row = {
        "merchant_id": notice.merchant_id,
        "id": ids.new("pnt"),
        "provider": notice.provider,
        "code": code,
        "checkout_id": notice.checkout_id[:64],
        "external_id": notice.external_id and notice.external_id[:128],
        "amount_minor": notice.amount_minor,
        "currency": notice.currency and notice.currency[:16],
        "content_hash": crypto.fingerprint("payment notice", notice.provider, code, content),
        "received_at": now,
        "created_at": now,
    }
    again: Mapping[str, Any] = {"times": PaymentNotice.times + 1, "received_at": now}
    once = insert(PaymentNotice).values(row)
    keys: Sequence[str] = ("merchant_id", "content_hash")
    await session.execute(once.on_conflict_do_update(index_elements=keys, set_=again))
