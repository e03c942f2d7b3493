"""Where an order comes from: reported as paid by the merchant, or sold on our own page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import stock
from app.campaigns.budget import Counted
from app.kit import ids
from app.kit.errors import FieldError, Unprocessable


class Buying(Protocol):
    """Who buys in which campaign: named by one of the two ids."""

    @property
    def campaign_id(self) -> str: ...
    @property
    def participant_id(self) -> str | None: ...
    @property
    def member_id(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Sale:
    """On our own page. `reserved`: pieces of stock that it holds, None where it holds none any more. `stands`: what was
    bought is given, whether or not its campaign still takes orders; nobody earns by it then."""

    order_id: str
    quantity: int
    reserved: int | None
    stands: bool = False


@dataclass(frozen=True, slots=True)
class Sold:
    """The id that the order gets, and what it took of the campaign's stock."""

    order_id: str
    pieces: int


def check_name(external_order_id: str, sale: Sale | None) -> None:
    """Unprocessable for an id like ours on an order that is reported: it would be in the way of the sale itself."""
    if sale is None and _is_ours(external_order_id):
        detail = "Orders that are paid on our page record themselves; an id of your own does not begin with `ord_`."
        raise Unprocessable(
            "external_order_id_reserved", detail, errors=[FieldError("/external_order_id", "reserved", detail)]
        )


async def take_stock(session: AsyncSession, campaign: Counted, sale: Sale | None) -> Sold:
    """Conflict `out_of_stock`, of a sale of our own alone.

    What was sold elsewhere is paid: to refuse it would only hide that more was sold than there is.
    """
    own = {"merchant_id": campaign.merchant_id, "campaign_id": campaign.id}
    if sale is None and campaign.stock is None:
        return Sold(ids.new("ord"), 0)
    if sale is None:
        return Sold(ids.new("ord"), await stock.report(session, **own, pieces=1))
    if sale.reserved is not None:
        return Sold(sale.order_id, sale.reserved)
    return Sold(sale.order_id, await stock.reserve(session, **own, pieces=sale.quantity))


def _is_ours(external_order_id: str) -> bool:
    try:
        ids.decode("ord", external_order_id)
    except ValueError:
        return False
    return True
