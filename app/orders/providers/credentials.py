"""What a merchant has agreed with its payment providers: sealed, never shown again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from sqlalchemy import exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.kit import rsa_keys
from app.kit.errors import Conflict, FieldError, Unprocessable
from app.models import Checkout, PaymentProvider, Refund

KIND = "wechat"


@dataclass(frozen=True, slots=True)
class WechatPaySettings:
    """`serial_no` names the merchant's API certificate, `public_key_id` WeChat Pay's public key; keys are PEM.

    `api_v3_key`: the 32 characters that notifications are encrypted with. `app_secret`: of the application, without
    which nobody learns who pays in WeChat.
    """

    mch_id: str
    app_id: str
    serial_no: str
    private_key: str = field(repr=False)
    api_v3_key: str = field(repr=False)
    public_key_id: str
    public_key: str
    app_secret: str | None = field(default=None, repr=False)


async def save(
    session: AsyncSession, *, merchant_id: str, settings: WechatPaySettings, actor_id: str, now: datetime
) -> PaymentProvider:
    """In place of what was there. Unprocessable where a key cannot be read.

    Conflict `payment_provider_in_use` where it is another account, while payments by the one before are open.
    """
    _check(settings)
    await _require_same_account(session, merchant_id, settings)
    row = {
        "merchant_id": merchant_id,
        "kind": KIND,
        "settings": msgspec.json.encode(asdict(settings)).decode(),
        "changed_at": now,
    }
    statement = insert(PaymentProvider).values(row | {"created_at": now})
    changes = {name: statement.excluded[name] for name in ("settings", "changed_at")}
    await session.execute(statement.on_conflict_do_update(index_elements=["merchant_id", "kind"], set_=changes))
    own: dict[str, Any] = {"merchant_id": merchant_id, "actor": actor_id, "subject_id": merchant_id}
    audit.record(session, **own, action="payment_provider.changed", detail={"provider": KIND})
    await session.flush()
    return await session.get_one(PaymentProvider, (merchant_id, KIND), populate_existing=True)


async def find(session: AsyncSession, *, merchant_id: str) -> PaymentProvider | None:
    return await session.get(PaymentProvider, (merchant_id, KIND))


async def find_to_pay(session: AsyncSession, *, merchant_id: str) -> PaymentProvider | None:
    """As `find`, and nobody changes the account until the transaction ends: a payment is begun by it."""
    return await session.get(
        PaymentProvider, (merchant_id, KIND), with_for_update={"read": True}, populate_existing=True
    )


def read(row: PaymentProvider) -> WechatPaySettings:
    return msgspec.json.decode(row.settings, type=WechatPaySettings)


def account(row: PaymentProvider) -> str:
    """Whose payments they are: one number means another payment with each account."""
    settings = read(row)
    return f"{settings.mch_id}/{settings.app_id}"


def has_taken(row: PaymentProvider, checkout: Checkout) -> bool:
    """Whether the account is the one that the checkout's payment was begun with. Of a payment from before that was
    written down: whether the credentials are no newer."""
    if checkout.provider_account is None:
        return row.changed_at <= (checkout.started_at or checkout.created_at)
    return account(row) == checkout.provider_account


def view(row: PaymentProvider) -> dict[str, Any]:
    """Names and numbers only; of a secret it says that it is there."""
    settings = read(row)
    return {
        "id": row.kind,
        "object": "payment_provider",
        "kind": row.kind,
        "settings": {
            "mch_id": settings.mch_id,
            "app_id": settings.app_id,
            "serial_no": settings.serial_no,
            "public_key_id": settings.public_key_id,
            "private_key": "set",
            "api_v3_key": "set",
            "app_secret": "set" if settings.app_secret else "missing",
        },
        "metadata": {},
        "changed_at": row.changed_at,
        "created_at": row.created_at,
    }


async def _require_same_account(session: AsyncSession, merchant_id: str, settings: WechatPaySettings) -> None:
    stored = await session.get(PaymentProvider, (merchant_id, KIND), with_for_update=True, populate_existing=True)
    if stored is None:
        return
    if account(stored) == f"{settings.mch_id}/{settings.app_id}":
        return
    under_way = Checkout.provider == KIND, Checkout.due_at.is_not(None), Checkout.started_at.is_not(None)
    of_payment = func.coalesce(Refund.checkout_id, Refund.order_id) == Checkout.id
    own = Refund.merchant_id == Checkout.merchant_id
    # What is parked waits for the account that took it, which may be this one.
    paid_back = Checkout.provider == KIND, own, of_payment, Refund.due_at.is_not(None), Refund.payback != "parked"
    wanted = [select(exists().where(Checkout.merchant_id == merchant_id, *each)) for each in (under_way, paid_back)]
    if await session.scalar(wanted[0]) or await session.scalar(wanted[1]):
        detail = "Payments to the present account are under way: only its keys can be changed until they are settled."
        raise Conflict("payment_provider_in_use", detail)


def _check(settings: WechatPaySettings) -> None:
    for name, load in (("private_key", rsa_keys.private_key), ("public_key", rsa_keys.public_key)):
        try:
            load(getattr(settings, name))
        except (ValueError, TypeError, UnsupportedAlgorithm):
            detail = f"should be a PEM key for RSA with at least {rsa_keys.MIN_BITS} bits, without a password"
            error = FieldError(f"/{name}", "key_invalid", detail)
            raise Unprocessable("payment_provider_key_invalid", f"{name}: {detail}", errors=[error]) from None
