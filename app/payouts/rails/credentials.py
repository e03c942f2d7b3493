"""What a merchant has agreed with its providers: sealed, never shown again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar, cast

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit.errors import Conflict, FieldError, Unprocessable
from app.kit.rsa_keys import MIN_BITS
from app.kit.rsa_keys import private_key as private_key
from app.kit.rsa_keys import public_key as public_key
from app.models import Payout, PayoutRail
from app.payouts import acting
from app.payouts.locks import lock_batches
from app.payouts.rails import rules
from app.payouts.rails.protocol import Kind


@dataclass(frozen=True, slots=True)
class WechatSettings:
    """`serial_no` names the merchant's API certificate, `public_key_id` WeChat Pay's public key; keys are PEM.

    `job_type` and `pay_for` are what scene 1005 (佣金报酬) is reported with: 岗位类型 and 报酬说明."""

    mch_id: str
    app_id: str
    serial_no: str
    private_key: str = field(repr=False)
    public_key_id: str
    public_key: str
    job_type: str
    pay_for: str


@dataclass(frozen=True, slots=True)
class AlipaySettings:
    """`app_cert_sn` and `root_cert_sn` belong to applications that sign with certificates, as transfers want."""

    app_id: str
    private_key: str = field(repr=False)
    alipay_public_key: str
    app_cert_sn: str | None = None
    root_cert_sn: str | None = None


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Shares in basis points of what goes wrong; nothing does unless it is asked for."""

    times_out_bps: int = 0
    loses_bps: int = 0
    loses_answers_bps: int = 0
    rejects_bps: int = 0
    asks_payee_bps: int = 0
    confirms_after_seconds: int | None = 60
    delays_bps: int = 0
    delay_seconds: int = 5


Settings = WechatSettings | AlipaySettings | SandboxSettings
TYPES: dict[Kind, type[Settings]] = {"wechat": WechatSettings, "alipay": AlipaySettings, "sandbox": SandboxSettings}
_PRIVATE, _PUBLIC = ("private_key",), ("public_key", "alipay_public_key")
# Whose transfers a provider tells of: under another account it would say that there are none.
_ACCOUNT = ("mch_id", "app_id")
T = TypeVar("T", bound=Settings)


async def save(
    session: AsyncSession, *, merchant_id: str, settings: Settings, actor_id: str, now: datetime
) -> PayoutRail:
    """In place of what was there; `actor_id` is a user or a key. Unprocessable where a key cannot be read.

    Conflict `payout_rail_in_use` where it is another account, while payouts by the one before are open.
    """
    kind = kind_of(settings)
    _check_keys(settings)
    await _require_same_account(session, merchant_id, kind, settings)
    row = {
        "merchant_id": merchant_id,
        "kind": kind,
        "settings": msgspec.json.encode(asdict(settings)).decode(),
        "changed_at": now,
    }
    statement = insert(PayoutRail).values(row | {"created_at": now})
    changes = {name: statement.excluded[name] for name in ("settings", "changed_at")}
    await session.execute(statement.on_conflict_do_update(index_elements=["merchant_id", "kind"], set_=changes))
    acting.record(
        session,
        merchant_id=merchant_id,
        actor_id=actor_id,
        action="payout_rail.changed",
        subject_id=merchant_id,
        rail=kind,
    )
    await session.flush()
    return await session.get_one(PayoutRail, (merchant_id, kind), populate_existing=True)


async def every(session: AsyncSession, *, merchant_id: str) -> dict[Kind, PayoutRail]:
    found = await session.scalars(select(PayoutRail).where(PayoutRail.merchant_id == merchant_id))
    return {cast("Kind", row.kind): row for row in found}


def read(row: PayoutRail, type_: type[T]) -> T:
    return msgspec.json.decode(row.settings, type=type_)


def view(row: PayoutRail) -> dict[str, Any]:
    """Names and numbers only; of a secret it says that it is there."""
    settings = msgspec.json.decode(row.settings, type=TYPES[cast("Kind", row.kind)])
    shown: Mapping[str, Any] = {
        each.name: "set" if each.name in _PRIVATE else getattr(settings, each.name)
        for each in fields(settings)
        if each.name not in _PUBLIC
    }
    return {
        "id": row.kind,
        "object": "payout_rail",
        "kind": row.kind,
        "settings": dict(shown),
        "metadata": {},
        "changed_at": row.changed_at,
        "created_at": row.created_at,
    }


async def _require_same_account(session: AsyncSession, merchant_id: str, kind: Kind, settings: Settings) -> None:
    """Under the lock of whoever sends a batch, which hands payouts to the rail."""
    await lock_batches(session, merchant_id)
    stored = await session.get(PayoutRail, (merchant_id, kind), populate_existing=True)
    if stored is None or _account(read(stored, TYPES[kind])) == _account(settings):
        return
    of_rail = (Payout.merchant_id == merchant_id, Payout.rail == kind, Payout.status.in_(rules.OPEN))
    if await session.scalar(select(exists().where(*of_rail))):
        detail = "Payouts by the present account are under way: only its keys can be changed until they are settled."
        raise Conflict("payout_rail_in_use", detail)


def account_of(row: PayoutRail) -> str | None:
    """Whose transfers its provider tells of under these credentials; the sandbox has no accounts."""
    settings = read(row, TYPES[cast("Kind", row.kind)])
    return "/".join(part for part in _account(settings) if part) or None


def as_row(kind: Kind, settings: Settings, *, merchant_id: str, now: datetime) -> PayoutRail:
    """Credentials that are used once and not kept."""
    text = msgspec.json.encode(asdict(settings)).decode()
    return PayoutRail(merchant_id=merchant_id, kind=kind, settings=text, changed_at=now)


def _account(settings: Settings) -> tuple[str | None, ...]:
    return tuple(getattr(settings, name, None) for name in _ACCOUNT)


def kind_of(settings: Settings) -> Kind:
    return next(kind for kind, type_ in TYPES.items() if isinstance(settings, type_))


def _check_keys(settings: Settings) -> None:
    for names, load in ((_PRIVATE, private_key), (_PUBLIC, public_key)):
        for name in names:
            pem = getattr(settings, name, None)
            if pem is not None:
                _check_key(name, pem, load)


def _check_key(name: str, pem: str, load: Any) -> None:
    try:
        load(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        detail = f"should be a PEM key for RSA with at least {MIN_BITS} bits, without a password"
        error = FieldError(f"/{name}", "key_invalid", detail)
        raise Unprocessable("payout_rail_key_invalid", f"{name}: {detail}", errors=[error]) from None
