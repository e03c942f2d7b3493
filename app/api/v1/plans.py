from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.deps import PublicSession
from app.api.router import make_router
from app.api.schemas import Answer, ListAnswer
from app.plans import queries
from app.plans.views import plan_view

router = make_router("plans")


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
