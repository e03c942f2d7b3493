"""Merchants, users and keys as the API shows them. Secrets and phone numbers are in none of these."""

from __future__ import annotations

from typing import Any

from app.models import ApiKey, MerchantUser


def user_view(user: MerchantUser) -> dict[str, Any]:
    return {
        "id": user.id,
        "object": "merchant_user",
        "name": user.name,
        "role": user.role,
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
        "created_at": key.created_at,
    }


def new_key_view(key: ApiKey, secret: str) -> dict[str, Any]:
    """The only view with a secret: the answer to its creation."""
    return key_view(key) | {"secret_key": secret}


def replaced_key_view(key: ApiKey, secret: str, old: ApiKey) -> dict[str, Any]:
    return new_key_view(key, secret) | {"replaces": old.id, "old_expires_at": old.expires_at}
