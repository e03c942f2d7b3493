"""What a provider tells of a payment, carried to the rooms in a transaction of the right tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.kit import clock, ids, logging, outward
from app.kit.errors import Conflict, InvitreeError, Unauthorized, Unavailable
from app.merchants import purchases
from app.models import Merchant, PaymentProvider
from app.orders import metrics, notices
from app.orders.notices import ToldBy
from app.orders.providers import credentials, opening
from app.orders.providers.protocol import Notice
from app.orders.providers.signatures import refused
from app.resources import Resources

log = logging.get(__name__)
ANSWERED = frozenset({Unauthorized.status, Unavailable.status})


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to a provider: of a status below 300 it repeats nothing."""

    status: int
    code: str


async def hear(resources: Resources, *, kind: str, merchant_id: str, headers: Mapping[str, str], body: bytes) -> Told:
    """A notification: followed, set aside with a code, or, where nobody has signed it, not looked at."""
    try:
        notice, merchant = await _read(resources, kind, merchant_id, headers, body)
        now = clock.tenant_now(merchant.clock_offset_seconds)
        await follow(resources, notice, is_house=merchant.is_house, told_by="notification", now=now)
    except InvitreeError as error:
        log.warning("payment_notice_refused", provider=kind, merchant_id=merchant_id, code=error.code)
        return Told(error.status if error.status in ANSWERED else Conflict.status, error.code)
    return Told(200, "SUCCESS")


async def follow(resources: Resources, notice: Notice, *, is_house: bool, told_by: ToldBy, now: datetime) -> str:
    """The checkout's status. What the house sells changes other merchants: its payments are followed as *system*."""
    opened = resources.db.system() if is_house else resources.db.tenant(notice.merchant_id)
    async with opened as session:
        checkout = await notices.take(session, notice=notice, told_by=told_by, now=now)
        if checkout.status == "paid" and checkout.purpose != "order":
            await purchases.complete(session, checkout=checkout, now=clock.utcnow())
        return checkout.status


async def _read(
    resources: Resources, kind: str, merchant_id: str, headers: Mapping[str, str], body: bytes
) -> tuple[Notice, Merchant]:
    """Unauthorized for an unknown merchant, too: who it is, is nobody's business who cannot sign."""
    try:
        merchant, row = await _who(resources, merchant_id)
        async with outward.new_client(opening.TIMEOUT) as client:
            reader = opening.open_reader(
                kind,
                merchant_id=merchant.id,
                livemode=merchant.livemode,
                row=row,
                client=client,
                sandbox_for_live=resources.settings.sandbox_for_live,
            )
            return reader.read(headers, body), merchant
    except Unauthorized:
        metrics.UNSIGNED.labels(kind).inc()
        raise


async def _who(resources: Resources, merchant_id: str) -> tuple[Merchant, PaymentProvider | None]:
    try:
        ids.decode("mch", merchant_id)
    except ValueError:
        raise refused() from None
    async with resources.db.system() as session:
        merchant = await session.get(Merchant, merchant_id)
        if merchant is None:
            raise refused()
        return merchant, await credentials.find(session, merchant_id=merchant.id)
