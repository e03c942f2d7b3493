from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Response, status
from pydantic import ConfigDict, Field

from app.api.deps import PageDep, Tenant, TenantDep
from app.api.pictures import TemplateId
from app.api.router import make_router
from app.api.schemas import Answer, Body, ListAnswer, Metadata, type_id
from app.api.v1.members import MemberIn
from app.api.v1.rewards import RewardOut, RewardStatus
from app.db.pages import Page
from app.models import Participant
from app.referrals import posters, queries, service
from app.referrals.views import participant_view
from app.rewards import queries as rewards
from app.rewards.views import reward_view
from app.signups import service as signups

router = make_router("participants")

InviteCode = Annotated[str, Field(min_length=1, max_length=32)]


class ParticipantIn(Body):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"member": {"external_id": "u-1001", "nickname": "小明🍵"}}]}
    )

    member: MemberIn
    invite_code: InviteCode | None = None
    metadata: Metadata = Field(default_factory=dict)


class RebindIn(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"inviter_id": "ptc_01h2xcejqtf2nbrexx3vqjhp41", "reason": "Scanned the wrong poster."}]
        }
    )

    inviter_id: Annotated[str, type_id("ptc")]
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class ParticipantChangeIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"poster_template_id": "refer_a_friend"}]})

    poster_template_id: Annotated[
        TemplateId | None, Field(description="One of the campaign's; null: the campaign's first.")
    ]


class ParticipantOut(Answer):
    id: str
    object: Literal["participant"]
    campaign_id: str
    member_id: str
    invite_code: Annotated[str, Field(examples=["k7m2x9qd"])]
    invite_url: str
    poster_url: str
    inviter_id: str | None
    depth: Annotated[int, Field(description="0 for who came without an invite.")]
    is_promoter: bool
    poster_template_id: Annotated[str | None, Field(description="What was picked; null: the campaign's first.")]
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class LevelCount(Answer):
    level: int
    count: int


class InviteeCountsOut(Answer):
    object: Literal["invitee_counts"]
    participant_id: str
    total: int
    levels: list[LevelCount]
    livemode: bool


@router.post(
    "/campaigns/{campaign_id}/participants",
    response_model=ParticipantOut,
    status_code=status.HTTP_201_CREATED,
    responses={200: {"model": ParticipantOut, "description": "The same member again: the same participant"}},
)
async def join(campaign_id: str, body: ParticipantIn, tenant: TenantDep, response: Response) -> dict[str, Any]:
    """Make a member a promoter of the campaign. Nothing is granted; with a code a new participant is bound."""
    entry = await signups.join(
        tenant.session,
        merchant_id=tenant.merchant_id,
        campaign_id=campaign_id,
        identity=body.member.identity(),
        invite_code=body.invite_code,
        metadata=body.metadata,
        now=tenant.now,
    )
    response.status_code = status.HTTP_201_CREATED if entry.created else status.HTTP_200_OK
    return tenant.show(participant_view(entry.participant))


@router.get("/campaigns/{campaign_id}/participants", response_model=ListAnswer[ParticipantOut])
async def list_participants(
    campaign_id: str,
    tenant: TenantDep,
    page: PageDep,
    member_id: Annotated[str, type_id("mbr")] | None = None,
) -> dict[str, Any]:
    """Participants of a campaign, newest first."""
    found = await queries.participants_page(
        tenant.session,
        merchant_id=tenant.merchant_id,
        campaign_id=campaign_id,
        query=replace(page, equals={"member_id": member_id} if member_id else {}),
    )
    return tenant.show_page(found, participant_view)


@router.get("/participants/{participant_id}", response_model=ParticipantOut)
async def get_participant(participant_id: str, tenant: TenantDep) -> dict[str, Any]:
    """One participant."""
    return tenant.show(participant_view(await _participant(tenant, participant_id)))


@router.patch("/participants/{participant_id}", response_model=ParticipantOut)
async def change_participant(participant_id: str, body: ParticipantChangeIn, tenant: TenantDep) -> dict[str, Any]:
    """Pick another of the campaign's poster templates."""
    participant = await posters.pick(
        tenant.session,
        merchant_id=tenant.merchant_id,
        participant_id=participant_id,
        template_id=body.poster_template_id,
    )
    return tenant.show(participant_view(participant))


@router.get("/participants/{participant_id}/chain", response_model=ListAnswer[ParticipantOut])
async def get_chain(participant_id: str, tenant: TenantDep) -> dict[str, Any]:
    """Inviter, inviter's inviter and so on up to the root, nearest first; always whole."""
    participant = await _participant(tenant, participant_id)
    chain = await queries.ancestors(tenant.session, merchant_id=tenant.merchant_id, participant=participant)
    return tenant.show_page(Page(chain, None), participant_view)


@router.get("/participants/{participant_id}/invitees", response_model=ListAnswer[ParticipantOut])
async def list_invitees(
    participant_id: str,
    tenant: TenantDep,
    page: PageDep,
    level: Annotated[Literal["all"] | Annotated[int, Field(ge=1, le=1_000_000)], Query()] = 1,
) -> dict[str, Any]:
    """Who came by this participant, newest first: at one level below (1: its own invitees), or `all`."""
    found = await queries.invitees(
        tenant.session,
        merchant_id=tenant.merchant_id,
        participant=await _participant(tenant, participant_id),
        level=None if level == "all" else level,
        query=page,
    )
    return tenant.show_page(found, participant_view)


@router.get("/participants/{participant_id}/invitees/counts", response_model=InviteeCountsOut)
async def count_invitees(participant_id: str, tenant: TenantDep) -> dict[str, Any]:
    """How many came by this participant, level by level."""
    participant = await _participant(tenant, participant_id)
    counts = await queries.level_counts(tenant.session, merchant_id=tenant.merchant_id, participant=participant)
    levels = [{"level": level, "count": count} for level, count in counts.items()]
    answer = {"object": "invitee_counts", "participant_id": participant.id, "total": sum(counts.values())}
    return tenant.show({**answer, "levels": levels})


@router.get("/participants/{participant_id}/rewards", response_model=ListAnswer[RewardOut])
async def list_rewards(
    participant_id: str, tenant: TenantDep, page: PageDep, status: RewardStatus | None = None
) -> dict[str, Any]:
    """What this participant gets, as inviter and as invitee, newest first."""
    participant = await _participant(tenant, participant_id)
    query = page.filtered(participant_id=participant.id, status=status)
    found = await rewards.rewards_page(tenant.session, merchant_id=tenant.merchant_id, query=query)
    return tenant.show_page(found, reward_view)


@router.post("/participants/{participant_id}/rebind", response_model=ParticipantOut)
async def rebind(participant_id: str, body: RebindIn, tenant: TenantDep) -> dict[str, Any]:
    """Give a participant another inviter. It is audited, all below it comes along, and earlier orders stay."""
    participant = await service.rebind(
        tenant.session,
        merchant_id=tenant.merchant_id,
        participant_id=participant_id,
        inviter_id=body.inviter_id,
        reason=body.reason,
        actor=tenant.key_id,
        now=tenant.now,
    )
    return tenant.show(participant_view(participant))


async def _participant(tenant: Tenant, participant_id: str) -> Participant:
    return await queries.get_participant(tenant.session, merchant_id=tenant.merchant_id, participant_id=participant_id)
