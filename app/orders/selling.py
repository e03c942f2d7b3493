"""The product of a campaign is bought on our own page."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import queries as campaigns
from app.campaigns.rules import require_open
from app.kit import crypto
from app.kit.errors import Conflict
from app.kit.money import MAX_MINOR
from app.models import Campaign, Checkout
from app.orders import checkout as checkouts
from app.orders import service
from app.orders.providers.protocol import Kind


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be bought: the buyer is named by one of `participant_id` and `member_id`."""

    campaign_id: str
    participant_id: str | None = None
    member_id: str | None = None
    quantity: int = 1
    return_url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


async def sell(session: AsyncSession, *, merchant_id: str, wish: Wish, provider: Kind, now: datetime) -> Checkout:
    """A checkout that holds its stock. NotFound for campaign, member or participant.

    Conflict for the campaign's state, `product_not_for_sale`, or `out_of_stock`.
    """
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=wish.campaign_id)
    buyer = await service.buyer_of(session, merchant_id, wish)
    require_open(campaign, "order", now=now, bound_before=True, paid_at=now)
    return await checkouts.open_checkout(
        session,
        merchant_id=merchant_id,
        purpose="order",
        title=campaign.product_name or campaign.name,
        member_id=buyer.member_id,
        campaign=campaign,
        participant=buyer,
        quantity=wish.quantity,
        amount_minor=_amount(campaign, wish.quantity),
        currency=campaign.currency,
        provider=provider,
        return_url=wish.return_url,
        metadata=wish.metadata,
        now=now,
    )


async def sell_once(session: AsyncSession, *, merchant_id: str, wish: Wish, provider: Kind, now: datetime) -> Checkout:
    """As `sell`, but who presses the button again, or twice at once, finds the checkout that is still open."""
    (number,) = struct.unpack(">q", crypto.fingerprint("buy", merchant_id, wish.participant_id or "")[:8])
    await session.execute(select(func.pg_advisory_xact_lock(number)))
    still_open = (
        select(Checkout)
        .where(Checkout.merchant_id == merchant_id, Checkout.participant_id == wish.participant_id)
        .where(Checkout.purpose == "order", Checkout.status == "open", Checkout.expires_at > now)
        .where(Checkout.quantity == wish.quantity)  # the merchant may have opened another one for the same buyer
        .order_by(Checkout.id.desc())
        .limit(1)
    )
    found = (await session.scalars(still_open)).one_or_none()
    return found or await sell(session, merchant_id=merchant_id, wish=wish, provider=provider, now=now)


def is_for_sale(campaign: Campaign) -> bool:
    return campaign.product_name is not None and bool(campaign.price_minor)


def _amount(campaign: Campaign, quantity: int) -> int:
    amount = (campaign.price_minor or 0) * quantity
    if campaign.product_name is None or not 0 < amount <= MAX_MINOR:
        raise Conflict("product_not_for_sale", "The campaign has no product with a price that could be paid.")
    return amount
