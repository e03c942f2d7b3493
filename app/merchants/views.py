"""Merchants, users and keys as the API shows them. Secrets and phone numbers are in none of these."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.kit import people
from app.merchants.accounts import Account
from app.merchants.funding import Standing
from app.merchants.registration import Registration
from app.models import ApiKey, MerchantUser
from app.referrals.phone_codes import SentCode
from app.settings import get_settings


def merchant_view(account: Account, *, now: datetime) -> dict[str, Any]:
    """`now` is the tenant's clock."""
    live, plan, public_url = account.live, account.plan(now), get_settings().public_url
    return {
        "id": account.merchant.id,
        "object": "merchant",
        "name": live.name,
        "twin_id": account.merchant.twin_id,
        "plan": plan.plan,
        "plan_ends_at": plan.ends_at,
        "platform_fee_bps": plan.platform_fee_bps,
        "funding": account.merchant.funding,
        "membership": {"active": account.is_member(now), "ends_at": account.ends_at},
        "verified": live.verified_at is not None,
        "invite_code": live.invite_code,
        "invite_url": live.invite_code and f"{public_url}/i/{live.invite_code}",
        "poster_url": live.invite_code and f"{public_url}/p/{live.invite_code}.jpg",
        "metadata": account.merchant.meta,
        "created_at": account.merchant.created_at,
    }


def registration_view(account: Account, made: Registration, *, now: datetime) -> dict[str, Any]:
    """The only view with a merchant's first secrets: the answer to its registration."""
    secrets = {"secret_key": made.secret_key, "test_secret_key": made.test_secret_key}
    return merchant_view(account, now=now) | secrets | {"sandbox_code": made.sent.sandbox_code}


def funding_view(found: Standing, *, merchant_id: str, now: datetime) -> dict[str, Any]:
    """`available_minor` is what batches of a prepaid merchant can be made of."""
    funds = found.funds
    return {
        "id": merchant_id,
        "object": "merchant_funding",
        "mode": found.mode,
        "currency": funds.currency,
        "funds_minor": funds.funds_minor,
        "reserved_minor": funds.reserved_minor,
        "spent_minor": funds.spent_minor,
        "owed_fees_minor": funds.owed_fees_minor,
        "available_minor": funds.available_minor,
        "owed_to_promoters_minor": sum(found.owed.values()),
        "owed_to_promoters": {f"{bucket}_minor": amount for bucket, amount in found.owed.items()},
        "metadata": {},
        "created_at": now,
    }


def sent_code_view(sent: SentCode, *, now: datetime) -> dict[str, Any]:
    return {
        "object": "verification_code",
        "sent_to": mask_contact(sent.to),
        "expires_at": sent.expires_at,
        "sandbox_code": sent.sandbox_code,
        "created_at": now,
    }


def mask_contact(contact: str) -> str:
    """`+8613812345678` → `138****5678`, `li@example.com` → `l***@example.com`."""
    name, at, domain = contact.partition("@")
    return f"{name[:1]}***@{domain}" if at else people.mask_phone(contact)


def user_view(user: MerchantUser) -> dict[str, Any]:
    return {
        "id": user.id,
        "object": "merchant_user",
        "name": user.name,
        "role": user.role,
        "metadata": {},
        "created_at": user.created_at,
    }


def key_view(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "object": "api_key",
        "name": key.name,
        "last4": key.last4,
        "scopes": key.scopes,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "metadata": {},
        "created_at": key.created_at,
    }


def new_key_view(key: ApiKey, secret: str) -> dict[str, Any]:
    """The only view with a secret: the answer to its creation."""
    return key_view(key) | {"secret_key": secret}


def replaced_key_view(key: ApiKey, secret: str, old: ApiKey) -> dict[str, Any]:
    return new_key_view(key, secret) | {"replaces": old.id, "old_expires_at": old.expires_at}
