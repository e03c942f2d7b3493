"""Reading campaigns and their rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns.document import RuleDocument
from app.campaigns.rules import TIMED
from app.db.pages import Page, PageQuery, fetch_page
from app.kit import ids
from app.kit.errors import not_found
from app.models import Campaign, CampaignRule, PosterTemplate
from app.poster import OFFERED


async def get(session: AsyncSession, *, merchant_id: str, campaign_id: str) -> Campaign:
    """NotFound `campaign_not_found` for an id that is malformed, unknown or another merchant's."""
    if _is_id(campaign_id):
        campaign = await session.get(Campaign, (merchant_id, campaign_id))
        if campaign is not None:
            return campaign
    raise not_found("campaign")


async def lock(session: AsyncSession, *, merchant_id: str, campaign_id: str) -> Campaign:
    """As `get`, but as it stands now, and nobody else's to change until the transaction ends."""
    if _is_id(campaign_id):
        # FOR NO KEY UPDATE: those who change campaigns queue, while signups and orders, whose foreign keys share-lock
        # the row, go on.
        key = (merchant_id, campaign_id)
        campaign = await session.get(Campaign, key, with_for_update={"key_share": True}, populate_existing=True)
        if campaign is not None:
            return campaign
    raise not_found("campaign")


async def get_rule(
    session: AsyncSession, *, merchant_id: str, campaign_id: str, version: int | None = None
) -> RuleDocument:
    """The rules of one version, the current one by default; NotFound `campaign_not_found`."""
    if version is None:
        version = (await get(session, merchant_id=merchant_id, campaign_id=campaign_id)).rule_version
    row = await session.get(CampaignRule, (merchant_id, campaign_id, version)) if _is_id(campaign_id) else None
    if row is None:
        raise not_found("campaign")
    return RuleDocument.model_validate(row.document)


async def current_rules(
    session: AsyncSession, *, merchant_id: str | None, campaigns: Sequence[Campaign]
) -> dict[str, RuleDocument]:
    """The current rules of many campaigns by campaign id, in one read; `merchant_id` None as *system*."""
    wanted = [(campaign.merchant_id, campaign.id, campaign.rule_version) for campaign in campaigns]
    key = tuple_(CampaignRule.merchant_id, CampaignRule.campaign_id, CampaignRule.version)
    statement = select(CampaignRule).where(key.in_(wanted))
    if merchant_id is not None:
        statement = statement.where(CampaignRule.merchant_id == merchant_id)
    rows = (await session.scalars(statement)).all() if wanted else []
    return {row.campaign_id: RuleDocument.model_validate(row.document) for row in rows}


async def find_page(
    session: AsyncSession,
    *,
    merchant_id: str,
    page: PageQuery,
    now: datetime,
    status: str | None = None,
    kind: str | None = None,
) -> tuple[Page[Campaign], dict[str, RuleDocument]]:
    """Campaigns newest first, with their current rules by id; `status` as it is at `now`."""
    statement = select(Campaign).where(Campaign.merchant_id == merchant_id)
    if status is not None:
        statement = statement.where(status_column(now) == status)
    if kind is not None:
        statement = statement.where(Campaign.kind == kind)
    found = await fetch_page(session, statement, page)
    return found, await current_rules(session, merchant_id=merchant_id, campaigns=found.rows)


async def merchant_of(session: AsyncSession, campaign_id: str) -> str | None:
    """Whose campaign it is, asked as *system*, for pages that come with nothing but its id."""
    if not _is_id(campaign_id):
        return None
    found: str | None = await session.scalar(select(Campaign.merchant_id).where(Campaign.id == campaign_id))
    return found


async def require_templates(session: AsyncSession, *, merchant_id: str, template_ids: Iterable[str]) -> None:
    """NotFound `poster_template_not_found` where one of them is neither this merchant's nor a built-in one."""
    wanted = set(template_ids) - OFFERED.keys()
    own = select(PosterTemplate.id).where(PosterTemplate.merchant_id == merchant_id, PosterTemplate.id.in_(wanted))
    if wanted and set(await session.scalars(own)) != wanted:
        raise not_found("poster_template")


async def template_versions(session: AsyncSession, *, merchant_id: str, template_ids: Iterable[str]) -> dict[str, int]:
    """The newest by id, of the merchant's own; built-in ones have none."""
    columns = select(PosterTemplate.id, PosterTemplate.version)
    own = columns.where(
        PosterTemplate.merchant_id == merchant_id, PosterTemplate.id.in_(set(template_ids) - OFFERED.keys())
    )
    return dict((await session.execute(own)).tuples().all())


def status_column(now: datetime | ColumnElement[datetime]) -> ColumnElement[Any]:
    """`rules.status_at` in SQL; a test holds the two together."""
    ended = and_(Campaign.status.in_(TIMED), Campaign.ends_at <= now)
    begun = and_(Campaign.status == "scheduled", Campaign.starts_at <= now)
    return case((ended, "ended"), (begun, "active"), else_=Campaign.status)


def _is_id(text: str) -> bool:
    try:
        ids.decode("cmp", text)
    except ValueError:
        return False
    return True
