"""API keys: made once, stored as a keyed hash, resolved to their tenant on every request."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ARRAY, LargeBinary, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.db import driver
from app.kit import clock, crypto, ids
from app.kit.errors import Conflict, Forbidden, Unauthorized, not_found
from app.models import ApiKey, Merchant

_WHOSE = (
    select(ApiKey.hash, ApiKey.merchant_id, Merchant.livemode, ApiKey.id, ApiKey.scopes, Merchant.clock_offset_seconds)
    .join(Merchant, Merchant.id == ApiKey.merchant_id)
    .where(
        ApiKey.hash == func.any(bindparam("hashes", type_=ARRAY(LargeBinary))),
        ApiKey.revoked_at.is_(None),
        or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()),
    )
)


# Who was let in a moment ago may still come in; with what its request was answered before, where it was.
_CONFIRM = """
    SELECT k.scopes, m.clock_offset_seconds, known.request_hash, known.status, known.body
    FROM api_keys k JOIN merchants m ON m.id = k.merchant_id
    LEFT JOIN idempotency_keys known ON known.merchant_id = k.merchant_id AND known.key = $3
    WHERE k.merchant_id = $1 AND k.id = $2 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
"""


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


@dataclass(frozen=True, slots=True)
class Known:
    """The answer that a request got before."""

    request_hash: bytes
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A key as it is now, and what is known under the idempotency key that came with it."""

    scopes: frozenset[str]
    clock_offset_seconds: int
    known: Known | None


@dataclass(frozen=True, slots=True)
class Maker:
    """The key on whose word keys are made and ended."""

    key_id: str
    scopes: frozenset[str]


def hash_key(keyring: crypto.Keyring, secret: str) -> bytes:
    return keyring.secret_hash("api_key", secret)


async def authenticate(session: AsyncSession, *, secret: str, keyring: crypto.Keyring) -> Principal:
    """The principal of a key, asked as *system*: whose it is, is the question. Unauthorized where it is nobody's."""
    check_shape(secret)
    hashed = hash_key(keyring, secret)
    found = (await owners(session, [hashed])).get(hashed)
    if found is None:
        raise unknown()
    return found


def check_shape(secret: str) -> None:
    """Unauthorized for what nobody has to be asked about."""
    if not crypto.is_api_key(secret):
        raise Unauthorized("api_key_invalid", "The key is not an Invitree key: check that it was copied whole.")


def unknown() -> Unauthorized:
    return Unauthorized("api_key_invalid", "The key is unknown, expired or revoked.")


async def owners(session: AsyncSession, hashes: Collection[bytes]) -> dict[bytes, Principal]:
    """By `hash_key` whose these keys are, asked as *system*; those that open nothing are left out."""
    rows = await session.execute(_WHOSE, {"hashes": list(hashes)})
    return {
        hashed: Principal(merchant_id, livemode, key_id, frozenset(scopes), clock_offset_seconds)
        for hashed, merchant_id, livemode, key_id, scopes, clock_offset_seconds in rows
    }


async def confirm(session: AsyncSession, *, principal: Principal, idempotency_key: str) -> Confirmed:
    """Asked as the tenant. Unauthorized where the key has ended since."""
    own, key_id = ids.decode("mch", principal.merchant_id), ids.decode("key", principal.key_id)
    found = await driver.fetch(session, _CONFIRM, own, key_id, idempotency_key)
    if not found:
        raise unknown()
    scopes, clock_offset_seconds, *known = found[0]
    return Confirmed(frozenset(scopes), clock_offset_seconds, None if known[0] is None else Known(*known))


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


async def create(
    session: AsyncSession,
    *,
    merchant_id: str,
    livemode: bool,
    name: str,
    scopes: list[str],
    maker: Maker,
    keyring: crypto.Keyring,
) -> tuple[ApiKey, str]:
    """A further key. It may do nothing that the key which asks for it may not."""
    if "*" not in maker.scopes and not set(scopes) <= maker.scopes:
        raise Forbidden("scope_missing", "A key can give only those scopes that it has itself.")
    key, secret = make_key(
        session, merchant_id=merchant_id, livemode=livemode, keyring=keyring, name=name, scopes=scopes
    )
    await session.flush()
    _record(session, key, maker, "api_key.created")
    return key, secret


async def rotate(
    session: AsyncSession,
    *,
    merchant_id: str,
    livemode: bool,
    key_id: str,
    overlap: timedelta,
    maker: Maker,
    keyring: crypto.Keyring,
) -> tuple[ApiKey, str, ApiKey]:
    """A new key with the old one's name and scopes; the old one works on for `overlap`, at most until its own end."""
    old = await _lock_active(session, merchant_id, key_id)
    key, secret = await create(
        session,
        merchant_id=merchant_id,
        livemode=livemode,
        name=old.name,
        scopes=old.scopes,
        maker=maker,
        keyring=keyring,
    )
    end = clock.utcnow() + overlap
    old.expires_at = end if old.expires_at is None else min(old.expires_at, end)
    await session.flush()
    return key, secret, old


async def revoke(session: AsyncSession, *, merchant_id: str, key_id: str, maker: Maker) -> ApiKey:
    """End a key at once. Conflict `last_api_key` where nobody could make another one afterwards."""
    key = await _lock_active(session, merchant_id, key_id)
    others = select(ApiKey.id).where(
        ApiKey.merchant_id == merchant_id,
        ApiKey.id != key_id,
        ApiKey.revoked_at.is_(None),
        ApiKey.expires_at.is_(None),
        ApiKey.scopes.overlap(["*"]) | ApiKey.scopes.contains(["write", "admin"]),
    )
    if await session.scalar(others.limit(1)) is None:
        raise Conflict("last_api_key", "No other lasting key could make keys: create or rotate one first.")
    key.revoked_at = clock.utcnow()
    await session.flush()
    _record(session, key, maker, "api_key.revoked")
    return key


async def _lock_active(session: AsyncSession, merchant_id: str, key_id: str) -> ApiKey:
    """The key, with the merchant locked first: two keys revoked at once must not each count on the other."""
    await session.execute(select(Merchant.id).where(Merchant.id == merchant_id).with_for_update())
    try:
        ids.decode("key", key_id)
    except ValueError:
        raise not_found("api_key") from None
    found = await session.scalar(
        select(ApiKey)
        .where(
            ApiKey.merchant_id == merchant_id,
            ApiKey.id == key_id,
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()),
        )
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise not_found("api_key")
    return found


def _record(session: AsyncSession, key: ApiKey, maker: Maker, action: str) -> None:
    detail = {"name": key.name, "scopes": key.scopes}
    audit.record(
        session, merchant_id=key.merchant_id, actor=maker.key_id, action=action, subject_id=key.id, detail=detail
    )
