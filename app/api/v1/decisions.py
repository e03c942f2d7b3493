"""What two people make of a payout or a refund that its provider leaves open."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import status
from pydantic import ConfigDict, Field

from app.api.deps import MovesMoney, NeedsPayouts, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, type_id
from app.merchants import refund_decisions
from app.payouts import decisions
from app.payouts.views import decision_view

router = make_router("decisions")

UserId = Annotated[
    str, type_id("usr"), Field(description="An owner or finance; to confirm, not who asked or approved the batch.")
]
Reason = Annotated[str, Field(min_length=1, max_length=500)]
Evidence = Annotated[
    str, Field(min_length=1, max_length=2_000, description="What shows it: a statement, a case number.")
]
USER: dict[str, Any] = {"user_id": "usr_01h2xcejqtf2nbrexx3vqjhp41"}
WHY: dict[str, Any] = {"reason": "对账单有此笔", "evidence": "11 月 21 日账单第 7 行"}
PayoutOutcome = Literal["paid", "failed"]
RefundOutcome = Literal["paid_otherwise", "try_again"]
Outcome = TypeVar("Outcome")


class PayoutConfirmIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{**USER, "outcome": "paid"}]})

    user_id: UserId
    outcome: Annotated[PayoutOutcome, Field(description="As it was asked for.")]


class PayoutDecisionIn(PayoutConfirmIn):
    model_config = ConfigDict(json_schema_extra={"examples": [{**USER, "outcome": "paid", **WHY}]})

    outcome: Annotated[PayoutOutcome, Field(description="What the provider's own books say.")]
    reason: Reason
    evidence: Evidence


class RefundConfirmIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{**USER, "outcome": "paid_otherwise"}]})

    user_id: UserId
    outcome: Annotated[RefundOutcome, Field(description="As it was asked for.")]


class RefundDecisionIn(RefundConfirmIn):
    model_config = ConfigDict(json_schema_extra={"examples": [{**USER, "outcome": "paid_otherwise", **WHY}]})

    outcome: Annotated[
        RefundOutcome,
        Field(
            description="`paid_otherwise`: the buyer has the money in another way; `try_again`: the provider is "
            "asked at once, for another refund where it has closed the first."
        ),
    ]
    reason: Reason
    evidence: Evidence


class DecisionOut(Answer, Generic[Outcome]):
    """`id` is what is decided on; nothing has moved before it is confirmed."""

    id: str
    outcome: Outcome
    reason: str
    evidence: str
    asked_by: str
    confirmed_by: str | None
    confirmed_at: datetime | None
    metadata: dict[str, Any]
    created_at: Annotated[datetime, Field(description="When it was asked for.")]
    livemode: bool


class PayoutDecisionOut(DecisionOut[PayoutOutcome]):
    object: Literal["payout_decision"]


class RefundDecisionOut(DecisionOut[RefundOutcome]):
    object: Literal["refund_decision"]


@router.get("/payouts/{payout_id}/decision", response_model=PayoutDecisionOut)
async def get_payout_decision(payout_id: str, tenant: TenantDep) -> dict[str, Any]:
    """What was asked for, and why: for whoever is to confirm it."""
    found = await decisions.get(tenant.session, merchant_id=tenant.merchant_id, payout_id=payout_id)
    return tenant.show(decision_view(found))


@router.post(
    "/payouts/{payout_id}/decision",
    response_model=PayoutDecisionOut,
    status_code=status.HTTP_201_CREATED,
    dependencies=[NeedsPayouts],
)
async def ask_for_payout(payout_id: str, body: PayoutDecisionIn, tenant: TenantDep) -> dict[str, Any]:
    """Say what became of a payout that its provider tells nothing of: nothing moves until another user confirms it."""
    what = {"payout_id": payout_id, "actor_id": body.user_id, **body.model_dump(exclude={"user_id"})}
    made = await decisions.ask(tenant.session, merchant_id=tenant.merchant_id, **what, now=tenant.now)
    return tenant.show(decision_view(made))


@router.post(
    "/payouts/{payout_id}/decision/confirm", response_model=PayoutDecisionOut, dependencies=[MovesMoney, NeedsPayouts]
)
async def confirm_for_payout(payout_id: str, body: PayoutConfirmIn, tenant: TenantDep) -> dict[str, Any]:
    """By neither who asked nor who approved the batch: the money moves as if the provider had said so."""
    what: dict[str, Any] = {"payout_id": payout_id, "actor_id": body.user_id, "outcome": body.outcome}
    made = await decisions.confirm(tenant.session, merchant_id=tenant.merchant_id, **what, now=tenant.now)
    return tenant.show(decision_view(made))


@router.get("/refunds/{refund_id}/decision", response_model=RefundDecisionOut)
async def get_refund_decision(refund_id: str, tenant: TenantDep) -> dict[str, Any]:
    """What was asked for, and why: for whoever is to confirm it."""
    found = await refund_decisions.get(tenant.session, merchant_id=tenant.merchant_id, refund_id=refund_id)
    return tenant.show(decision_view(found))


@router.post(
    "/refunds/{refund_id}/decision",
    response_model=RefundDecisionOut,
    status_code=status.HTTP_201_CREATED,
    dependencies=[NeedsPayouts],
)
async def ask_for_refund(refund_id: str, body: RefundDecisionIn, tenant: TenantDep) -> dict[str, Any]:
    """Say what is to become of a refund whose `payback` is `refused`, `parked`, or `unknown` for a day: nothing moves
    until another user confirms it."""
    what = {"refund_id": refund_id, "actor_id": body.user_id, **body.model_dump(exclude={"user_id"})}
    made = await refund_decisions.ask(tenant.session, merchant_id=tenant.merchant_id, **what, now=tenant.now)
    return tenant.show(decision_view(made))


@router.post(
    "/refunds/{refund_id}/decision/confirm", response_model=RefundDecisionOut, dependencies=[MovesMoney, NeedsPayouts]
)
async def confirm_for_refund(refund_id: str, body: RefundConfirmIn, tenant: TenantDep) -> dict[str, Any]:
    """By another user than asked: its provider is asked no more, or asked again at once."""
    what: dict[str, Any] = {"refund_id": refund_id, "actor_id": body.user_id, "outcome": body.outcome}
    made = await refund_decisions.confirm(tenant.session, merchant_id=tenant.merchant_id, **what, now=tenant.now)
    return tenant.show(decision_view(made))
