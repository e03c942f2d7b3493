from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Body as Optionally
from pydantic import ConfigDict, Field

from app.api.deps import MovesMoney, NeedsPayouts, PageDep, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, ListAnswer, type_id
from app.payouts import queries, sending
from app.payouts.views import payout_view

router = make_router("payouts")

Status = Literal["created", "submitting", "awaiting_payee", "unknown", "paid", "failed", "cancelled"]


class GiveUpIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": "usr_01h2xcejqtf2nbrexx3vqjhp41"}]})

    user_id: Annotated[
        Annotated[str, type_id("usr")] | None, Field(description="Without it the API key is written down.")
    ] = None


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
    rail: Annotated[str | None, Field(description="The provider that carries it out; null where a file does.")]
    package_info: Annotated[
        str | None, Field(description="While `awaiting_payee`: what WeChat's page asks for to let the payee confirm.")
    ]
    cancel_asked_at: datetime | None
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


@router.get("/payouts/{payout_id}", response_model=PayoutOut)
async def get_payout(payout_id: str, tenant: TenantDep) -> dict[str, Any]:
    """What became of one payout."""
    found = await queries.payout_detail(tenant.session, merchant_id=tenant.merchant_id, payout_id=payout_id)
    return tenant.show(payout_view(*found))


@router.post("/payouts/{payout_id}/cancel", response_model=PayoutOut, dependencies=[MovesMoney, NeedsPayouts])
async def give_payout_up(
    payout_id: str, tenant: TenantDep, body: Annotated[GiveUpIn, Optionally(default_factory=GiveUpIn)]
) -> dict[str, Any]:
    """Give up a transfer that is not settled: nothing is sent for it any more; its status tells whether it could be."""
    own = {"merchant_id": tenant.merchant_id}
    who = body.user_id or tenant.key_id
    payout = await sending.give_up(tenant.session, **own, payout_id=payout_id, actor_id=who, now=tenant.now)
    held = await queries.commission_ids(tenant.session, **own, withdrawal_ids=[payout.withdrawal_id])
    return tenant.show(payout_view(payout, held[payout.withdrawal_id]))
