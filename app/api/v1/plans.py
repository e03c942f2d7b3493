from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import status
from pydantic import Field

from app.api.deps import AccountDep, MovesMoney, PublicSession
from app.api.router import make_router
from app.api.schemas import Answer, Body, ListAnswer
from app.api.v1.checkouts import CheckoutOut
from app.kit import clock
from app.merchants import buying
from app.orders.checkout_views import checkout_view
from app.plans import queries
from app.plans.views import plan_view

router = make_router("plans")


class PlanIn(Body):
    plan: Annotated[str, Field(min_length=1, max_length=32, examples=["pro_year"])]


class PlanOut(Answer):
    id: Annotated[str, Field(description="The plan's key.", examples=["pro_year"])]
    object: Literal["plan"]
    name: str
    price_minor: int
    currency: str
    days: Annotated[int, Field(description="Of paid membership, with each purchase.")]
    platform_fee_bps: Annotated[int, Field(description="Of every order that is paid while the plan is in force.")]
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


@router.get("/plans", response_model=ListAnswer[PlanOut])
async def list_plans(session: PublicSession) -> dict[str, Any]:
    """All plans, the cheapest first; open to everybody."""
    data = [plan_view(plan) | {"livemode": True} for plan in await queries.catalogue(session)]
    return {"object": "list", "data": data, "has_more": False, "next_cursor": None}


@router.post(
    "/merchant/plan", response_model=CheckoutOut, status_code=status.HTTP_201_CREATED, dependencies=[MovesMoney]
)
async def buy_plan(body: PlanIn, tenant: AccountDep) -> dict[str, Any]:
    """A checkout of the house, to be paid at its `pay_url`; paid, the plan is in force and its days are there. What
    became of it: `GET /v1/merchant/checkouts/{checkout_id}`.

    The same plan again comes behind what runs. Of two plans the one with the lower fee is used first, while the other
    one's time waits: no paid day is lost.
    """
    settings, now = tenant.resources.settings, clock.utcnow()
    opened = await buying.open_plan(
        tenant.session,
        merchant_id=tenant.merchant_id,
        key=body.plan,
        sandbox_for_live=settings.sandbox_for_live,
        now=now,
    )
    return tenant.show(checkout_view(opened, public_url=settings.public_url))


@router.get("/merchant/checkouts/{checkout_id}", response_model=CheckoutOut)
async def get_bought(checkout_id: str, tenant: AccountDep) -> dict[str, Any]:
    """What became of a plan or a top-up that this merchant buys."""
    found = await buying.bought(tenant.session, merchant_id=tenant.merchant_id, checkout_id=checkout_id)
    return tenant.show(checkout_view(found, public_url=tenant.resources.settings.public_url))
