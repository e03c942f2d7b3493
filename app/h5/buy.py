"""From a participant's own page to the page where it pays."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api.deps import ResourcesDep
from app.h5.me import Own, own_page
from app.h5.pages import redirect
from app.kit import clock
from app.models import Checkout, Merchant
from app.orders import selling
from app.orders.providers import opening
from app.orders.selling import Wish

router = APIRouter()


@router.post("/me/{participant_id}/buy")
async def buy(participant_id: str, request: Request, resources: ResourcesDep) -> Response:
    """Pressed again, it leads to the same page as long as that is open."""
    async with own_page(request, resources, participant_id) as own:
        checkout = await _open(own, sandbox_for_live=resources.settings.sandbox_for_live)
    return redirect(f"/h5/pay/{checkout.id}")


async def _open(own: Own, *, sandbox_for_live: bool) -> Checkout:
    merchant = await own.session.get_one(Merchant, own.visitor.merchant_id)
    provider = await opening.choose(
        own.session, **own.tenant, livemode=merchant.livemode, sandbox_for_live=sandbox_for_live
    )
    wish = Wish(own.participant.campaign_id, participant_id=own.participant.id)
    now = clock.tenant_now(merchant.clock_offset_seconds)
    return await selling.sell_once(own.session, **own.tenant, wish=wish, provider=provider, now=now)
