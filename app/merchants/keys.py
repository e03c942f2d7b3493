"""API keys: made once, stored as a keyed hash, resolved to their tenant on every request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock, crypto, ids
from app.kit.errors import Unauthorized
from app.models import ApiKey, Merchant


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: one tenant, live or test, through one key."""

    merchant_id: str
    livemode: bool
    key_id: str
    scopes: frozenset[str]
    clock_offset_seconds: int

    def now(self) -> datetime:
        return clock.tenant_now(self.clock_offset_seconds)

    def may(self, scope: str) -> bool:
        return "*" in self.scopes or scope in self.scopes


def hash_key(keyring: crypto.Keyring, secret: str) -> bytes:
    return keyring.secret_hash("api_key", secret)


async def authenticate(session: AsyncSession, *, secret: str, keyring: crypto.Keyring) -> Principal:
    """The principal of a key, asked as *system*: whose it is, is the question. Unauthorized where it is nobody's."""
    if not crypto.is_api_key(secret):
        raise Unauthorized("api_key_invalid", "The key is not an Invitree key: check that it was copied whole.")
    statement = (
        select(ApiKey, Merchant)
        .join(Merchant, Merchant.id == ApiKey.merchant_id)
        .where(
            ApiKey.hash == hash_key(keyring, secret),
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()),
        )
    )
    found = (await session.execute(statement)).one_or_none()
    if found is None:
        raise Unauthorized("api_key_invalid", "The key is unknown, expired or revoked.")
    key, merchant = found
    return Principal(merchant.id, merchant.livemode, key.id, frozenset(key.scopes), merchant.clock_offset_seconds)


def make_key(
    session: AsyncSession,
    *,
    merchant_id: str,
    livemode: bool,
    keyring: crypto.Keyring,
    name: str = "default",
    scopes: list[str] | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its secret, which is not to be had again."""
    secret = crypto.new_api_key(livemode=livemode)
    key = ApiKey(
        merchant_id=merchant_id,
        id=ids.new("key"),
        name=name,
        hash=hash_key(keyring, secret),
        last4=secret[-4:],
        scopes=scopes or ["*"],
    )
    session.add(key)
    return key, secret
