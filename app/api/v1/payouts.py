from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.deps import PageDep, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, ListAnswer, type_id
from app.payouts import queries
from app.payouts.views import payout_view

router = make_router("payouts")

Status = Literal["created", "submitting", "awaiting_payee", "unknown", "paid", "failed", "cancelled"]


class PayoutOut(Answer):
    """One transfer to one payee account, of one withdrawal."""

    id: str
    object: Literal["payout"]
    batch_id: str
    withdrawal_id: str
    member_id: str
    payee_account_id: str
    amount_minor: int
    currency: str
    status: Status
    external_id: Annotated[str | None, Field(description="The channel's own number of the transfer.")]
    reason: str | None
    paid_at: datetime | None
    commission_ids: Annotated[list[str], Field(description="Empty once it failed or was cancelled.")]
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


@router.get("/payouts", response_model=ListAnswer[PayoutOut])
async def list_payouts(
    tenant: TenantDep,
    page: PageDep,
    status: Status | None = None,
    batch_id: Annotated[str, type_id("bat")] | None = None,
    member_id: Annotated[str, type_id("mbr")] | None = None,
    external_id: Annotated[str | None, Field(max_length=128)] = None,
) -> dict[str, Any]:
    """Payouts, newest first."""
    query = page.filtered(status=status, batch_id=batch_id, member_id=member_id, external_id=external_id)
    found = await queries.payout_details_page(tenant.session, merchant_id=tenant.merchant_id, query=query)
    return tenant.show_page(found, lambda detail: payout_view(*detail))
