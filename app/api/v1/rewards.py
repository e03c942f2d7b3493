from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.api.deps import PageDep, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, ListAnswer, type_id
from app.rewards import queries, service
from app.rewards.views import reward_view

router = make_router("rewards")

RewardStatus = Literal["owed", "granted", "skipped_cap", "revoked"]
Side = Literal["inviter", "invitee"]


class RewardOut(Answer):
    id: str
    object: Literal["reward"]
    campaign_id: str
    referral_id: str | None
    participant_id: Annotated[str, Field(description="Who gets it.")]
    member_id: str
    invitee_id: Annotated[str, Field(description="The participant whose coming it is for.")]
    kind: Literal["membership_days"]
    side: Side
    on: str
    days: int
    status: Annotated[
        RewardStatus,
        Field(
            description="`revoked` by you for good, or because all that the invitee had bought was refunded: then the "
            "next order grants it again."
        ),
    ]
    rule_key: str
    rule_version: int
    decided_at: datetime | None
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class RevokeIn(Body):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "The invitee's phone number is not their own."}]}
    )

    reason: Annotated[str, Field(min_length=1, max_length=500)]


@router.get("/rewards", response_model=ListAnswer[RewardOut])
async def list_rewards(
    tenant: TenantDep,
    page: PageDep,
    status: RewardStatus | None = None,
    side: Side | None = None,
    campaign_id: Annotated[str, type_id("cmp")] | None = None,
    participant_id: Annotated[str, type_id("ptc")] | None = None,
    member_id: Annotated[str, type_id("mbr")] | None = None,
) -> dict[str, Any]:
    """Rewards of both sides, newest first."""
    filters = {
        "status": status,
        "side": side,
        "campaign_id": campaign_id,
        "participant_id": participant_id,
        "member_id": member_id,
    }
    query = replace(page, equals={name: value for name, value in filters.items() if value is not None})
    found = await queries.rewards_page(tenant.session, merchant_id=tenant.merchant_id, query=query)
    return tenant.show_page(found, reward_view)


@router.get("/rewards/{reward_id}", response_model=RewardOut)
async def get_reward(reward_id: str, tenant: TenantDep) -> dict[str, Any]:
    """One reward."""
    reward = await queries.get_reward(tenant.session, merchant_id=tenant.merchant_id, reward_id=reward_id)
    return tenant.show(reward_view(reward))


@router.post("/rewards/{reward_id}/revoke", response_model=RewardOut)
async def revoke(reward_id: str, body: RevokeIn, tenant: TenantDep) -> dict[str, Any]:
    """Take a reward back. Days are cut from the end of the membership; days that were used are not charged back."""
    reward = await service.revoke(
        tenant.session,
        merchant_id=tenant.merchant_id,
        reward_id=reward_id,
        reason=body.reason,
        actor=tenant.key_id,
        now=tenant.now,
    )
    return tenant.show(reward_view(reward))
