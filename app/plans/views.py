from __future__ import annotations

from typing import Any

from app.models import Plan
from app.plans.rules import CURRENCY


def plan_view(plan: Plan) -> dict[str, Any]:
    """`days`: of paid membership that a purchase brings."""
    return {
        "id": plan.key,
        "object": "plan",
        "name": plan.name,
        "price_minor": plan.price_minor,
        "currency": CURRENCY,
        "days": plan.days,
        "platform_fee_bps": plan.platform_fee_bps,
        "metadata": {},
        "created_at": plan.created_at,
    }
