from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import ConfigDict, Field

from app.api.deps import PageDep, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, ExternalId, ListAnswer, Metadata, type_id
from app.referrals import queries
from app.referrals.identity import MemberIdentity
from app.referrals.views import member_view
from app.rewards import queries as rewards
from app.rewards.views import membership_view

router = make_router("members")

WeChatId = Annotated[str, Field(min_length=1, max_length=128)]


class MemberIn(Body):
    """A person, by at least one of `external_id`, `phone`, `openid`, `unionid`. A phone counts as verified."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"external_id": "u-1001", "phone": "+8613812345678", "nickname": "小明🍵"}]}
    )

    external_id: ExternalId | None = None
    phone: Annotated[str, Field(min_length=5, max_length=32)] | None = None
    openid: WeChatId | None = None
    unionid: WeChatId | None = None
    nickname: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    avatar_url: Annotated[str, Field(max_length=2048, pattern="^https?://[^\\s]+$")] | None = None
    avatar_asset_id: Annotated[
        Annotated[str, type_id("ast")] | None, Field(description="From `POST /v1/assets`; what posters show.")
    ] = None
    metadata: Metadata = Field(default_factory=dict)

    def identity(self) -> MemberIdentity:
        return MemberIdentity(**self.model_dump(), phone_verified=self.phone is not None)


class MemberOut(Answer):
    id: str
    object: Literal["member"]
    external_id: str | None
    phone: Annotated[str | None, Field(description="Masked.", examples=["138****5678"])]
    phone_verified: bool
    nickname: str | None
    avatar_url: str | None
    avatar_asset_id: str | None
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class PeriodOut(Answer):
    starts_at: datetime
    ends_at: datetime


class MembershipGrantOut(Answer):
    id: str
    object: Literal["membership_grant"]
    source: Annotated[str, Field(examples=["reward"])]
    source_key: Annotated[str, Field(description="Of that source: for a reward its id.")]
    paid: bool
    seconds: Annotated[int, Field(description="Negative where days were revoked.", examples=[2_592_000])]
    granted_at: datetime
    periods: Annotated[list[PeriodOut], Field(description="The time that this grant covers, past or to come.")]
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class MembershipOut(Answer):
    object: Literal["membership"]
    member_id: str
    active: bool
    ends_at: datetime | None
    grants: list[MembershipGrantOut]
    livemode: bool


@router.get("/members", response_model=ListAnswer[MemberOut])
async def list_members(
    tenant: TenantDep, page: PageDep, external_id: Annotated[str | None, Query(max_length=128)] = None
) -> dict[str, Any]:
    """Members, newest first."""
    query = replace(page, equals={"external_id": external_id} if external_id is not None else {})
    found = await queries.members_page(tenant.session, merchant_id=tenant.merchant_id, query=query)
    return tenant.show_page(found, member_view)


@router.get("/members/{member_id}", response_model=MemberOut)
async def get_member(member_id: str, tenant: TenantDep) -> dict[str, Any]:
    """One member."""
    member = await queries.get_member(tenant.session, merchant_id=tenant.merchant_id, member_id=member_id)
    return tenant.show(member_view(member))


@router.get("/members/{member_id}/membership", response_model=MembershipOut)
async def get_membership(member_id: str, tenant: TenantDep) -> dict[str, Any]:
    """Whether the member has days left, until when, and the grants they come from, oldest first."""
    member = await queries.get_member(tenant.session, merchant_id=tenant.merchant_id, member_id=member_id)
    grants = await rewards.grants(tenant.session, merchant_id=tenant.merchant_id, member_id=member.id)
    return tenant.show(membership_view(member.id, grants, now=tenant.now))
