from __future__ import annotations

from dataclasses import asdict
from typing import Any

from app.commissions.rules import Part
from app.models import Commission


def commission_view(row: Commission) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "commission",
        "campaign_id": row.campaign_id,
        "order_id": row.order_id,
        "line_id": row.line_id,
        "level": row.level,
        "beneficiary_id": row.beneficiary_id,
        "member_id": row.member_id,
        "amount_minor": row.amount_minor,
        "currency": row.currency,
        "base_minor": row.base_minor,
        "rate_bps": row.rate_bps,
        "rule_version": row.rule_version,
        "status": row.status,
        "hold_until": row.hold_until,
        "reverses": row.reverses_id,
        "refund_id": row.refund_id,
        "withdrawal_id": row.withdrawal_id,
        "reason": row.reason,
        "metadata": {},
        "created_at": row.created_at,
    }


def part_view(part: Part, *, line_id: str, external_line_id: str, rule_version: int) -> dict[str, Any]:
    """One line and level of an order's explanation: who, by which rule, what of what, or why nothing."""
    return {
        "line_id": line_id,
        "external_line_id": external_line_id,
        "level": part.level,
        "beneficiary_id": part.beneficiary_id,
        "rule_version": rule_version,
        "rule_key": part.won.rule_key if part.won else None,
        "tier": part.who.tier,
        "tier_progress": asdict(part.who.done) if part.who.done else None,
        "base_minor": part.base_minor,
        "rate_bps": part.rate_bps,
        "arithmetic": part.arithmetic,
        "amount_minor": part.amount_minor,
        "reason": part.reason,
        "binding_replaced_at": part.who.replaced_at and part.who.replaced_at.isoformat(),
        "lost": [asdict(offer) for offer in part.lost],
    }
