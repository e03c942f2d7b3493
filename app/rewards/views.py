from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.models import MembershipGrant, Reward
from app.rewards import rules


def reward_view(row: Reward) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "reward",
        "campaign_id": row.campaign_id,
        "referral_id": row.referral_id,
        "participant_id": row.participant_id,
        "member_id": row.member_id,
        "invitee_id": row.invitee_id,
        "kind": "membership_days",
        "side": row.side,
        "on": row.trigger,
        "days": row.days,
        "status": row.status,
        "rule_key": row.rule_key,
        "rule_version": row.rule_version,
        "decided_at": row.decided_at,
        "metadata": {},
        "created_at": row.created_at,
    }


def membership_view(member_id: str, grants: Sequence[MembershipGrant], *, now: datetime) -> dict[str, Any]:
    """The whole timeline, oldest first: each grant with the time it covers. A revocation covers none."""
    plan = rules.timeline(grants)
    ends_at = plan[-1].ends_at if plan else None
    periods: dict[str, list[dict[str, datetime]]] = defaultdict(list)
    for period in plan:
        periods[period.grant_id].append({"starts_at": period.starts_at, "ends_at": period.ends_at})
    ordered = sorted(grants, key=lambda grant: (grant.granted_at, grant.id))
    return {
        "object": "membership",
        "member_id": member_id,
        "active": ends_at is not None and ends_at > now,
        "ends_at": ends_at,
        "grants": [_grant_view(grant, periods[grant.id]) for grant in ordered],
    }


def _grant_view(row: MembershipGrant, periods: list[dict[str, datetime]]) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "membership_grant",
        "source": row.source,
        "source_key": row.source_key,
        "paid": row.paid,
        "seconds": row.seconds,
        "granted_at": row.granted_at,
        "periods": periods,
        "metadata": {},
        "created_at": row.granted_at,
    }
