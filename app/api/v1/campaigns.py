from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, cast

from fastapi import Query
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from app.api.deps import NeedsMembership, PageDep, PrincipalDep, Tenant, TenantDep
from app.api.pictures import TemplateId
from app.api.router import make_router, problems
from app.api.schemas import Answer, Body, Instant, ListAnswer, Metadata, NonNegativeMinor
from app.campaigns import queries, service
from app.campaigns.document import AttributionRule, CommissionRule, RewardDraft, RewardRule
from app.campaigns.drafting import CampaignFields, Landing, Product
from app.campaigns.rules import Move
from app.campaigns.views import campaign_view, check_view
from app.merchants.keys import Principal

router = make_router("campaigns")

Kind = Literal["distribution", "refer_a_friend", "milestone", "leaderboard", "deposit"]
Status = Literal["draft", "scheduled", "active", "paused", "ended", "settled"]
Name = Annotated[str, Field(min_length=1, max_length=120)]

CASE_BOOK: JsonDict = {
    "name": "案例集 + 年度会员",
    "kind": "distribution",
    "starts_at": "2026-12-01T00:00:00+08:00",
    "ends_at": "2026-12-31T23:59:59+08:00",
    "product": {"name": "案例集 + 年度会员", "price_minor": 5900, "currency": "CNY", "stock": 10000},
    "commission": {"levels": [{"level": 1, "rate_bps": 3000}, {"level": 2, "rate_bps": 1000}], "hold_days": 7},
    "rewards": [
        {"on": "phone_verified", "to": "inviter", "kind": "membership_days", "days": 30, "cap_days": 365},
        {"on": "signup", "to": "invitee", "kind": "membership_days", "days": 30},
    ],
    "attribution": {"model": "first_touch", "window_days": 30, "binding": {"mode": "days", "days": 30}},
    "budget_minor": 5000000,
    "landing": {"headline": "一本案例集，一年会员", "organiser": "清茶书社"},
    "rules_text": "活动时间为 12 月 1 日至 31 日，推广免费，佣金按实际付款订单计算。",
    "poster_template_ids": [],
    "metadata": {"season": "winter"},
}
REFER: JsonDict = {"name": "邀请好友，双方各得 30 天", "kind": "refer_a_friend", "landing": {"organiser": "清茶书社"}}
TIERED: JsonDict = {
    "name": "等级分销",
    "kind": "distribution",
    "product": {"name": "案例集 + 年度会员", "price_minor": 5900},
    "commission": {
        "levels": [{"level": 1, "rate_bps": 2000}, {"level": 2, "rate_bps": 500}],
        "rules": [
            {"key": "gold_rates", "tier": "gold", "levels": [{"level": 1, "rate_bps": 3000}]},
            {"key": "book", "product": "案例集", "levels": [{"level": 1, "amount_minor": 800}]},
        ],
        "tiers": [{"key": "silver", "min_orders": 10}, {"key": "gold", "min_orders": 50, "min_amount_minor": 500000}],
        "self_purchase": False,
        "promoter_budget_minor": 2000000,
    },
    "budget_minor": 20000000,
}


def _without_defaults(schema: dict[str, Any]) -> None:
    """What a change leaves out stays as it is: a default in the schema would say otherwise."""
    for field in schema["properties"].values():
        field.pop("default", None)
    schema["examples"] = [{"ends_at": "2027-01-15T23:59:59+08:00", "budget_minor": 8_000_000}]


class _Fields(Body):
    starts_at: Annotated[Instant | None, Field(description="Null: when it is published.")] = None
    ends_at: Instant | None = None
    product: Product | None = None
    commission: CommissionRule = CommissionRule()
    rewards: tuple[RewardDraft, ...] = Field(
        default=(),
        max_length=20,
        description="Left out for refer_a_friend: 30 days for both sides. Missing keys are made.",
    )
    attribution: AttributionRule = AttributionRule()
    new_members_only: Annotated[bool, Field(strict=True)] = True
    budget_minor: NonNegativeMinor | None = None
    landing: Landing = Landing()
    rules_text: Annotated[str, Field(max_length=20_000)] | None = None
    poster_template_ids: list[TemplateId] = Field(default_factory=list, max_length=20)
    poster_avatars: Annotated[
        bool, Field(strict=True, description="Whether posters show people's pictures; else the name's first letter.")
    ] = False
    metadata: Metadata = Field(default_factory=dict)

    def given(self) -> CampaignFields:
        return cast("CampaignFields", {name: getattr(self, name) for name in self.model_fields_set})


class CampaignIn(_Fields):
    model_config = ConfigDict(json_schema_extra={"examples": [CASE_BOOK, REFER, TIERED]})

    name: Name
    kind: Annotated[Kind, Field(description="distribution and refer_a_friend are to be had for now.")]
    tiers: Annotated[list[Any] | None, Field(description="Of milestone campaigns.")] = None


class CampaignChangeIn(_Fields):
    """A part that is given replaces the one before as a whole; what is left out stays."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    name: Name = ""
    kind: Kind = "distribution"


class CampaignOut(Answer):
    id: str
    object: Literal["campaign"]
    name: str
    kind: Kind
    status: Status
    starts_at: datetime | None
    ends_at: datetime | None
    product: Annotated[
        Product | None, Field(description="Its `stock` is left to sell; what open checkouts hold is not among it.")
    ]
    oversold: Annotated[int, Field(description="Pieces reported as sold elsewhere although none was left.")]
    commission: CommissionRule
    rewards: list[RewardRule]
    attribution: AttributionRule
    new_members_only: bool
    rule_version: int
    budget_minor: int | None
    currency: str
    landing: dict[str, Any]
    rules_text: str | None
    poster_template_ids: list[str]
    poster_template_versions: Annotated[
        dict[str, int],
        Field(description="Fixed when it is published; sending `poster_template_ids` takes up the newest ones."),
    ]
    poster_avatars: bool
    cloned_from_id: str | None
    published_at: datetime | None
    ended_at: datetime | None
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class FindingOut(Answer):
    code: str
    detail: str
    source: str
    pointer: str


class CheckOut(Answer):
    object: Literal["campaign_check"]
    campaign_id: str
    errors: list[FindingOut]
    warnings: list[FindingOut]
    livemode: bool


def show(tenant: Tenant, kept: service.Kept) -> dict[str, Any]:
    campaign, rule = kept
    return tenant.show(campaign_view(campaign, rule, now=tenant.now))


@router.post("/campaigns", response_model=CampaignOut, status_code=201)
async def create_campaign(body: CampaignIn, tenant: TenantDep, principal: PrincipalDep) -> dict[str, Any]:
    """A draft. Nothing of it is shown to anyone until it is published."""
    kept = await service.create(
        tenant.session,
        merchant_id=tenant.merchant_id,
        fields=body.given(),
        actor=principal.key_id,
        now=tenant.now,
    )
    return show(tenant, kept)


@router.get("/campaigns", response_model=ListAnswer[CampaignOut])
async def list_campaigns(
    tenant: TenantDep,
    page: PageDep,
    status: Annotated[Status | None, Query()] = None,
    kind: Annotated[Kind | None, Query()] = None,
) -> dict[str, Any]:
    found, rules = await queries.find_page(
        tenant.session, merchant_id=tenant.merchant_id, page=page, now=tenant.now, status=status, kind=kind
    )
    return tenant.show_page(found, lambda campaign: campaign_view(campaign, rules[campaign.id], now=tenant.now))


@router.get("/campaigns/{campaign_id}", response_model=CampaignOut)
async def get_campaign(campaign_id: str, tenant: TenantDep) -> dict[str, Any]:
    campaign = await queries.get(tenant.session, merchant_id=tenant.merchant_id, campaign_id=campaign_id)
    rule = await queries.get_rule(tenant.session, merchant_id=tenant.merchant_id, campaign_id=campaign_id)
    return show(tenant, (campaign, rule))


@router.patch("/campaigns/{campaign_id}", response_model=CampaignOut)
async def change_campaign(
    campaign_id: str, body: CampaignChangeIn, tenant: TenantDep, principal: PrincipalDep
) -> dict[str, Any]:
    """Other commission, rewards or attribution are a new version of the rules; what was decided keeps the old one.

    Once published, kind, price and currency stay; once begun, `starts_at` too; once ended, only `metadata` can change.
    """
    kept = await service.change(
        tenant.session,
        merchant_id=tenant.merchant_id,
        campaign_id=campaign_id,
        fields=body.given(),
        actor=principal.key_id,
        now=tenant.now,
    )
    return show(tenant, kept)


@router.post("/campaigns/{campaign_id}/check", response_model=CheckOut)
async def check_campaign(campaign_id: str, tenant: TenantDep) -> dict[str, Any]:
    """What stands in the way of publishing, and what may cost the campaign its reach. Changes nothing."""
    findings = await service.check(
        tenant.session, merchant_id=tenant.merchant_id, campaign_id=campaign_id, now=tenant.now
    )
    return tenant.show(check_view(campaign_id, findings))


@router.post(
    "/campaigns/{campaign_id}/publish",
    response_model=CampaignOut,
    responses=problems({402: "The merchant's days have ended"}),
    dependencies=[NeedsMembership],
)
async def publish_campaign(campaign_id: str, tenant: TenantDep, principal: PrincipalDep) -> dict[str, Any]:
    """Begins at `starts_at`, at once where that is past or null. A second time is refused; retry with an
    Idempotency-Key."""
    kept = await service.publish(
        tenant.session,
        merchant_id=tenant.merchant_id,
        campaign_id=campaign_id,
        actor=principal.key_id,
        now=tenant.now,
    )
    return show(tenant, kept)


@router.post("/campaigns/{campaign_id}/pause", response_model=CampaignOut)
async def pause_campaign(campaign_id: str, tenant: TenantDep, principal: PrincipalDep) -> dict[str, Any]:
    """No new participants; orders of those who were bound before still count. A paused campaign stays as it is."""
    return show(tenant, await _move(campaign_id, "pause", tenant, principal))


@router.post("/campaigns/{campaign_id}/resume", response_model=CampaignOut)
async def resume_campaign(campaign_id: str, tenant: TenantDep, principal: PrincipalDep) -> dict[str, Any]:
    """Active again. An active campaign stays as it is."""
    return show(tenant, await _move(campaign_id, "resume", tenant, principal))


@router.post("/campaigns/{campaign_id}/end", response_model=CampaignOut)
async def end_campaign(campaign_id: str, tenant: TenantDep, principal: PrincipalDep) -> dict[str, Any]:
    """Over, now and for good; orders that were paid before still count. An ended campaign stays as it is."""
    return show(tenant, await _move(campaign_id, "end", tenant, principal))


async def _move(campaign_id: str, action: Move, tenant: Tenant, principal: Principal) -> service.Kept:
    return await service.move(
        tenant.session,
        merchant_id=tenant.merchant_id,
        campaign_id=campaign_id,
        action=action,
        actor=principal.key_id,
        now=tenant.now,
    )


@router.post("/campaigns/{campaign_id}/clone", response_model=CampaignOut, status_code=201)
async def clone_campaign(campaign_id: str, tenant: TenantDep, principal: PrincipalDep) -> dict[str, Any]:
    """A new draft with the same offer and rules, without dates."""
    kept = await service.clone(
        tenant.session,
        merchant_id=tenant.merchant_id,
        campaign_id=campaign_id,
        actor=principal.key_id,
        now=tenant.now,
    )
    return show(tenant, kept)
