"""Campaigns as the API and the outbox show them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from app.campaigns.compliance import Findings
from app.campaigns.document import RuleDocument
from app.campaigns.rules import status_at
from app.models import Campaign


def campaign_view(campaign: Campaign, rule: RuleDocument, *, now: datetime) -> dict[str, Any]:
    return {
        "id": campaign.id,
        "object": "campaign",
        "name": campaign.name,
        "kind": campaign.kind,
        "status": status_at(campaign, now),
        "starts_at": campaign.starts_at,
        "ends_at": campaign.ends_at,
        "product": _product(campaign),
        "oversold": max(0, -(campaign.stock or 0)),
        **rule.model_dump(mode="json"),
        "rule_version": campaign.rule_version,
        "budget_minor": campaign.budget_minor,
        "currency": campaign.currency,
        "landing": campaign.landing,
        "rules_text": campaign.rules_text,
        "poster_template_ids": campaign.poster_template_ids,
        "poster_template_versions": campaign.poster_template_versions,
        "poster_avatars": campaign.poster_avatars,
        "cloned_from_id": campaign.cloned_from_id,
        "published_at": campaign.published_at,
        "ended_at": campaign.ended_at,
        "metadata": campaign.meta,
        "created_at": campaign.created_at,
    }


def _product(campaign: Campaign) -> dict[str, Any] | None:
    if campaign.product_name is None:
        return None
    return {
        "name": campaign.product_name,
        "price_minor": campaign.price_minor,
        "currency": campaign.currency,
        "kind": campaign.product_kind,
        "stock": None if campaign.stock is None else max(0, campaign.stock),
    }


def check_view(campaign_id: str, findings: Findings) -> dict[str, Any]:
    return {
        "object": "campaign_check",
        "campaign_id": campaign_id,
        "errors": [asdict(found) for found in findings.errors],
        "warnings": [asdict(found) for found in findings.warnings],
    }
