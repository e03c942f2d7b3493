from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Response, status
from pydantic import ConfigDict, Field

from app.api.deps import Tenant, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, Metadata, type_id
from app.api.v1.members import MemberIn, MemberOut
from app.api.v1.participants import InviteCode, ParticipantOut
from app.api.v1.rewards import RewardOut
from app.referrals.views import member_view, participant_view, referral_view
from app.rewards.views import reward_view
from app.signups import service
from app.signups.service import SignupResult

router = make_router("signups")


class SignupIn(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "campaign_id": "cmp_01h2xcejqtf2nbrexx3vqjhp41",
                    "member": {"phone": "+8613812345678", "nickname": "小明🍵"},
                    "invite_code": "k7m2x9qd",
                }
            ]
        }
    )

    campaign_id: Annotated[str, type_id("cmp")]
    member: MemberIn
    invite_code: InviteCode | None = None
    visitor_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    metadata: Metadata = Field(default_factory=dict)


class ReferralOut(Answer):
    id: str
    object: Literal["referral"]
    campaign_id: str
    inviter_id: str
    invitee_id: str
    new_member: Annotated[bool, Field(description="The invitee was not known to the merchant before.")]
    bound_at: datetime
    binding_ends_at: datetime | None
    decision: Annotated[dict[str, Any], Field(description="Why this invite won.")]
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class SignupOut(Answer):
    object: Literal["signup"]
    participant: ParticipantOut
    member: MemberOut
    referral: ReferralOut | None
    rewards: Annotated[list[RewardOut], Field(description="For both sides of this invite.")]
    livemode: bool


@router.post(
    "/signups",
    response_model=SignupOut,
    status_code=status.HTTP_201_CREATED,
    responses={200: {"model": SignupOut, "description": "The same member again: nothing new"}},
)
async def sign_up(body: SignupIn, tenant: TenantDep, response: Response) -> dict[str, Any]:
    """A friend signs up: bound to the code's owner, with what both sides get for it."""
    result = await service.sign_up(
        tenant.session,
        merchant_id=tenant.merchant_id,
        campaign_id=body.campaign_id,
        identity=body.member.identity(),
        invite_code=body.invite_code,
        visitor_id=body.visitor_id,
        metadata=body.metadata,
        now=tenant.now,
    )
    response.status_code = status.HTTP_201_CREATED if result.created else status.HTTP_200_OK
    return _show(tenant, result)


def _show(tenant: Tenant, result: SignupResult) -> dict[str, Any]:
    signup = {
        "object": "signup",
        "participant": tenant.show(participant_view(result.participant)),
        "member": tenant.show(member_view(result.member)),
        "referral": result.referral and tenant.show(referral_view(result.referral)),
        "rewards": [tenant.show(reward_view(reward)) for reward in result.rewards],
    }
    return tenant.show(signup)
