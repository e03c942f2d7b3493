"""A campaign from draft to end. Whoever changes one locks its row first: of two callers the second sees the first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.campaigns import announcements, budget, compliance, drafting, queries, rules
from app.campaigns.compliance import Findings
from app.campaigns.document import RuleDocument
from app.campaigns.drafting import CampaignFields
from app.campaigns.schedule import turn_due as turn_due
from app.campaigns.views import campaign_view
from app.db import outbox
from app.kit import ids
from app.kit.errors import Conflict, Unprocessable
from app.models import Campaign, CampaignRule

Kept = tuple[Campaign, RuleDocument]
_CLONED = (
    "name",
    "kind",
    "product_name",
    "product_kind",
    "price_minor",
    "currency",
    "stock",
    "budget_minor",
    "landing",
    "rules_text",
    "poster_template_ids",
    "poster_avatars",
    "meta",
)


async def create(session: AsyncSession, *, merchant_id: str, fields: CampaignFields, actor: str, now: datetime) -> Kept:
    """A draft with version 1 of its rules. Unprocessable, or NotFound for a poster template."""
    values = drafting.columns(fields)
    rule = drafting.document(values["kind"], fields, product_kind=values.get("product_kind", "goods"))
    rules.require_dates(values.get("starts_at"), values.get("ends_at"))
    await queries.require_templates(
        session, merchant_id=merchant_id, template_ids=values.get("poster_template_ids", [])
    )
    return await _keep(session, merchant_id, values, rule, "campaign.create", actor, now)


async def clone(session: AsyncSession, *, merchant_id: str, campaign_id: str, actor: str, now: datetime) -> Kept:
    """A draft with the same offer and current rules; its dates are left open, and its rules begin at version 1."""
    source = await queries.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
    rule = await queries.get_rule(session, merchant_id=merchant_id, campaign_id=campaign_id)
    values = {name: getattr(source, name) for name in _CLONED}
    if source.stock is not None:
        values["stock"] = max(0, source.stock)
    return await _keep(
        session, merchant_id, {**values, "cloned_from_id": source.id}, rule, "campaign.clone", actor, now
    )


async def _keep(
    session: AsyncSession,
    merchant_id: str,
    values: dict[str, Any],
    rule: RuleDocument,
    action: str,
    actor: str,
    now: datetime,
) -> Kept:
    campaign = Campaign(merchant_id=merchant_id, id=ids.new("cmp"), status="draft", created_at=now, **values)
    session.add(campaign)
    await session.flush()
    _add_version(session, campaign, rule, now)
    _audit(session, campaign, action, actor, now)
    await session.flush()
    return campaign, rule


async def change(
    session: AsyncSession, *, merchant_id: str, campaign_id: str, fields: CampaignFields, actor: str, now: datetime
) -> Kept:
    """Apply what was given. Other rules become a new version; Conflict `campaign_locked` for what is fixed by now."""
    if fields.get("budget_minor") is not None:
        await budget.alone(session, campaign_id)
    campaign, before = await _lock(session, merchant_id, campaign_id)
    values = _differing(campaign, drafting.columns(fields) | await _poster_versions(session, campaign, fields))
    kinds = [values.get(name, getattr(campaign, name)) for name in ("kind", "product_kind")]
    rule = drafting.document(kinds[0], fields, base=before, product_kind=kinds[1])
    changed = [*values, *(["rules"] if rule != before else [])]
    if not changed:
        return campaign, before
    status = rules.status_at(campaign, now)
    rules.require_changeable(status, changed)
    if "poster_template_ids" in values:
        await queries.require_templates(session, merchant_id=merchant_id, template_ids=values["poster_template_ids"])
    if campaign.budget_minor is None and "budget_minor" in values:
        campaign.commission_minor = await budget.earned(session, campaign)
    _apply(campaign, values, now)
    if rule != before:
        campaign.rule_version += 1
        _add_version(session, campaign, rule, now)
    if status in rules.TIMED:
        _require_clean(compliance.check(campaign, rule, now=now), Unprocessable)
    _audit(session, campaign, "campaign.change", actor, now, changed=changed)
    await session.flush()
    await announcements.changed(session, campaign.id)
    return campaign, rule


async def _poster_versions(session: AsyncSession, campaign: Campaign, fields: CampaignFields) -> dict[str, Any]:
    """Naming templates, be it the same ones again, takes up what they are by now. A draft follows them until then."""
    if campaign.published_at is None or "poster_template_ids" not in fields:
        return {}
    return await _newest_posters(session, campaign.merchant_id, fields["poster_template_ids"])


async def _newest_posters(session: AsyncSession, merchant_id: str, template_ids: Sequence[str]) -> dict[str, Any]:
    versions = await queries.template_versions(session, merchant_id=merchant_id, template_ids=template_ids)
    return {"poster_template_versions": versions}


def _differing(campaign: Campaign, values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if getattr(campaign, name) != value}


def _apply(campaign: Campaign, values: dict[str, Any], now: datetime) -> None:
    for name, value in values.items():
        setattr(campaign, name, value)
    if campaign.status == "scheduled" and campaign.starts_at is None:
        campaign.starts_at = now  # as when it is published without a date: it begins
    rules.require_dates(campaign.starts_at, campaign.ends_at)


async def check(session: AsyncSession, *, merchant_id: str, campaign_id: str, now: datetime) -> Findings:
    campaign = await queries.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
    rule = await queries.get_rule(session, merchant_id=merchant_id, campaign_id=campaign_id)
    return compliance.check(campaign, rule, now=now)


async def publish(session: AsyncSession, *, merchant_id: str, campaign_id: str, actor: str, now: datetime) -> Kept:
    """Active, or scheduled where `starts_at` is to come; Conflict `campaign_check_failed` with what is in the way."""
    campaign, rule = await _lock(session, merchant_id, campaign_id)
    scheduled = rules.next_status("publish", campaign.status)
    _require_clean(compliance.check(campaign, rule, now=now), Conflict)
    campaign.status, campaign.published_at = scheduled, now
    _apply(campaign, await _newest_posters(session, merchant_id, campaign.poster_template_ids), now)
    campaign.starts_at = campaign.starts_at or now
    campaign.status = rules.status_at(campaign, now)
    _audit(session, campaign, "campaign.publish", actor, now, status=campaign.status)
    await _announce(session, campaign, rule, "campaign.published", now)
    await announcements.changed(session, campaign.id)
    return campaign, rule


async def move(
    session: AsyncSession, *, merchant_id: str, campaign_id: str, action: rules.Move, actor: str, now: datetime
) -> Kept:
    """Pause, resume or end. Where that state is reached already, the campaign as it is and nothing written."""
    campaign, rule = await _lock(session, merchant_id, campaign_id)
    status = rules.status_at(campaign, now)
    target = rules.next_status(action, status)
    if target == status:
        return campaign, rule
    campaign.status = target
    _audit(session, campaign, f"campaign.{action}", actor, now)
    if target == "ended":
        campaign.ended_at = now
        await _announce(session, campaign, rule, "campaign.ended", now)
    await session.flush()
    await announcements.changed(session, campaign.id)
    return campaign, rule


async def _lock(session: AsyncSession, merchant_id: str, campaign_id: str) -> Kept:
    campaign = await queries.lock(session, merchant_id=merchant_id, campaign_id=campaign_id)
    rule = await queries.get_rule(session, merchant_id=merchant_id, campaign_id=campaign_id)
    return campaign, rule


def _require_clean(findings: Findings, error: type[Conflict | Unprocessable]) -> None:
    if findings.errors:
        detail = "; ".join(found.detail for found in findings.errors)
        raise error("campaign_check_failed", detail, errors=findings.as_field_errors())


async def _announce(session: AsyncSession, campaign: Campaign, rule: RuleDocument, type_: str, at: datetime) -> None:
    await session.flush()
    await outbox.emit(session, campaign.merchant_id, type_, campaign_view(campaign, rule, now=at), at=at)


def _add_version(session: AsyncSession, campaign: Campaign, rule: RuleDocument, now: datetime) -> None:
    row = CampaignRule(
        merchant_id=campaign.merchant_id,
        campaign_id=campaign.id,
        version=campaign.rule_version,
        document=rule.model_dump(mode="json"),
        created_at=now,
    )
    session.add(row)


def _audit(session: AsyncSession, campaign: Campaign, action: str, actor: str, now: datetime, **detail: Any) -> None:
    own = {"merchant_id": campaign.merchant_id, "actor": actor, "subject_id": campaign.id}
    audit.record(session, **own, action=action, detail=detail, at=now)
