"""How a merchant funds what its promoters are paid, and what stands on its account with the platform."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.kit.errors import Unprocessable
from app.ledger import funds
from app.ledger.funds import Funds
from app.merchants import accounts, house
from app.models import Campaign, Merchant
from app.plans.rules import CURRENCY

Mode = Literal["own", "prepaid"]


@dataclass(frozen=True, slots=True)
class Standing:
    """`owed`: what stands to promoters, by bucket."""

    mode: str
    funds: Funds
    owed: dict[str, int]


async def standing(session: AsyncSession, *, merchant_id: str, currency: str) -> Standing:
    own = {"merchant_id": merchant_id, "currency": currency}
    mode = (await session.execute(select(Merchant.funding).where(Merchant.id == merchant_id))).scalar_one()
    return Standing(mode, await funds.available(session, **own), await funds.owed_to_members(session, **own))


async def set_mode(session: AsyncSession, *, merchant_id: str, mode: Mode, actor: str) -> Merchant:
    """As *system*, by a person of the platform. Set again to what it is: nothing is written."""
    await house.require_finance(session, user_id=actor)
    merchant = (await accounts.get(session, merchant_id=merchant_id)).merchant
    await session.refresh(merchant, with_for_update=True)
    if merchant.funding != mode:
        detail = {"before": merchant.funding, "after": mode, "merchant": merchant.id}
        merchant.funding = mode
        await _audit(session, merchant, actor, "merchant.funding_changed", detail)
    return merchant


async def top_up(
    session: AsyncSession,
    *,
    merchant_id: str,
    amount_minor: int,
    currency: str,
    reference: str,
    actor: str,
    now: datetime,
) -> bool:
    """As *system*, by a person of the platform: money that came some other way, `reference` names it there. False where
    it was written down before; Conflict `reference_reused` where it was another amount; Unprocessable
    `currency_not_sold`."""
    await house.require_finance(session, user_id=actor)
    merchant = (await accounts.get(session, merchant_id=merchant_id)).merchant
    await _require_sold(session, merchant.id, currency)
    is_new = await funds.received(
        session,
        merchant_id=merchant.id,
        source="top_up",
        reference=f"transfer:{reference}",
        amount_minor=amount_minor,
        currency=currency,
        occurred_at=now,
    )
    if is_new:
        detail = {"amount_minor": amount_minor, "currency": currency, "reference": reference, "merchant": merchant.id}
        await _audit(session, merchant, actor, "funds.topped_up", detail)
    return is_new


async def _require_sold(session: AsyncSession, merchant_id: str, currency: str) -> None:
    """Nobody could ever be paid out of other money: promoters earn what its campaigns sell in."""
    found = await session.scalars(select(Campaign.currency).where(Campaign.merchant_id == merchant_id).distinct())
    sold = sorted({CURRENCY, *found})
    if currency not in sold:
        raise Unprocessable("currency_not_sold", f"The merchant sells in {', '.join(sold)}, not in {currency}.")


async def _audit(session: AsyncSession, merchant: Merchant, actor: str, action: str, detail: dict[str, Any]) -> None:
    """With the merchant, and with the house of its mode, whose operator did it."""
    house_id = await house.id_of(session, livemode=merchant.livemode)
    for merchant_id in dict.fromkeys(id_ for id_ in (merchant.id, house_id) if id_):
        audit.record(
            session, merchant_id=merchant_id, actor=actor, action=action, subject_id=merchant.id, detail=detail
        )
    await session.flush()
