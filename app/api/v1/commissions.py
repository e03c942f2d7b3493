from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.api.deps import MovesMoney, PageDep, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, ListAnswer, type_id
from app.commissions import queries, service
from app.commissions.views import commission_view
from app.referrals.queries import get_participant

router = make_router("commissions")

Status = Literal["pending", "held", "payable", "in_payout", "paid", "reversed", "rejected"]


class CommissionOut(Answer):
    """`amount_minor` never changes. A refund or a rejection adds a negative row that names the first in `reverses`."""

    id: str
    object: Literal["commission"]
    campaign_id: str
    order_id: str
    line_id: str
    level: int
    beneficiary_id: Annotated[str, Field(description="The participant who earns it.")]
    member_id: str
    amount_minor: int
    currency: str
    base_minor: Annotated[int, Field(description="Goods paid on this line.")]
    rate_bps: Annotated[int | None, Field(description="Null for a fixed sum.")]
    rule_version: int
    status: Status
    hold_until: datetime | None
    reverses: str | None
    refund_id: str | None
    withdrawal_id: str | None
    reason: Annotated[str | None, Field(description="Why it was rejected.")]
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class RejectIn(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"reason": "The buyer is the promoter's own.", "user_id": "usr_01h2xcejqtf2nbrexx3vqjhp41"}]
        }
    )

    reason: Annotated[str, Field(min_length=1, max_length=500)]
    user_id: Annotated[
        Annotated[str, type_id("usr")] | None, Field(description="Without it the API key is written down.")
    ] = None


@router.get("/commissions", response_model=ListAnswer[CommissionOut])
async def list_commissions(
    tenant: TenantDep,
    page: PageDep,
    status: Status | None = None,
    order_id: Annotated[str, type_id("ord")] | None = None,
    member_id: Annotated[str, type_id("mbr")] | None = None,
    beneficiary_id: Annotated[str, type_id("ptc")] | None = None,
    external_order_id: Annotated[str | None, Field(max_length=128)] = None,
) -> dict[str, Any]:
    """Commission rows, earned and reversed, newest first."""
    wanted = {"status": status, "order_id": order_id, "member_id": member_id, "beneficiary_id": beneficiary_id}
    own = {"merchant_id": tenant.merchant_id}
    found = await queries.find_page(
        tenant.session, **own, query=page, equals=wanted, external_order_id=external_order_id
    )
    return tenant.show_page(found, commission_view)


@router.get("/commissions/{commission_id}", response_model=CommissionOut)
async def get_commission(commission_id: str, tenant: TenantDep) -> dict[str, Any]:
    """One commission row."""
    own = {"merchant_id": tenant.merchant_id}
    return tenant.show(commission_view(await queries.get(tenant.session, **own, commission_id=commission_id)))


@router.get("/participants/{participant_id}/commissions", response_model=ListAnswer[CommissionOut])
async def list_own(
    participant_id: str, tenant: TenantDep, page: PageDep, status: Status | None = None
) -> dict[str, Any]:
    """What a participant earned, newest first."""
    own = {"merchant_id": tenant.merchant_id}
    participant = await get_participant(tenant.session, **own, participant_id=participant_id)
    wanted = {"beneficiary_id": participant.id, "status": status}
    found = await queries.find_page(tenant.session, **own, query=page, equals=wanted)
    return tenant.show_page(found, commission_view)


@router.post("/commissions/{commission_id}/reject", response_model=CommissionOut, dependencies=[MovesMoney])
async def reject(commission_id: str, body: RejectIn, tenant: TenantDep) -> dict[str, Any]:
    """Refuse a commission that is pending, held or payable: what refunds left of it is the merchant's again."""
    rejected = await service.reject(
        tenant.session,
        merchant_id=tenant.merchant_id,
        commission_id=commission_id,
        reason=body.reason,
        actor=body.user_id or tenant.key_id,
        now=tenant.now,
    )
    return tenant.show(commission_view(rejected))
