from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from app.api.deps import TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body
from app.merchants import test_clock

router = make_router("test clock")


class AdvanceIn(Body):
    advance_seconds: Annotated[int, Field(strict=True, gt=0, le=10 * 366 * 86_400, examples=[604_800])]


class ClockOut(Answer):
    object: str = "test_clock"
    now: datetime
    livemode: bool


@router.post("/test-clock", response_model=ClockOut)
async def advance(body: AdvanceIn, tenant: TenantDep) -> dict[str, Any]:
    """Move a test tenant's clock forward; holds and expiries that fall due take effect at once."""
    now = await test_clock.advance(
        tenant.session, merchant_id=tenant.merchant_id, livemode=tenant.livemode, seconds=body.advance_seconds
    )
    return tenant.show({"object": "test_clock", "now": now})
