from __future__ import annotations

from typing import Any

from app.kit import people
from app.models import Member, Participant, Referral
from app.settings import get_settings


def member_view(row: Member) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "member",
        "external_id": row.external_id,
        "phone": row.phone and people.mask_phone(row.phone),
        "phone_verified": row.phone_verified_at is not None,
        "nickname": row.nickname,
        "avatar_url": row.avatar_url,
        "avatar_asset_id": row.avatar_asset_id,
        "metadata": row.meta,
        "created_at": row.created_at,
    }


def participant_view(row: Participant) -> dict[str, Any]:
    public_url = get_settings().public_url
    return {
        "id": row.id,
        "object": "participant",
        "campaign_id": row.campaign_id,
        "member_id": row.member_id,
        "invite_code": row.invite_code,
        "invite_url": f"{public_url}/i/{row.invite_code}",
        "poster_url": f"{public_url}/p/{row.invite_code}.jpg",
        "poster_template_id": row.poster_template_id,
        "inviter_id": row.inviter_id,
        "depth": row.depth,
        "is_promoter": row.is_promoter,
        "metadata": row.meta,
        "created_at": row.created_at,
    }


def referral_view(row: Referral) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "referral",
        "campaign_id": row.campaign_id,
        "inviter_id": row.inviter_id,
        "invitee_id": row.invitee_id,
        "new_member": row.new_member,
        "bound_at": row.bound_at,
        "binding_ends_at": row.binding_ends_at,
        "decision": row.decision,
        "metadata": {},
        "created_at": row.created_at,
    }
