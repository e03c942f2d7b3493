"""Who someone says they are, in normal form: what is compared, what is kept sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.kit import people
from app.kit.errors import FieldError, Unprocessable
from app.settings import get_keyring

KEYS = ("external_id", "phone_index", "openid_index", "unionid_index")


@dataclass(frozen=True, slots=True)
class MemberIdentity:
    """At least one of `external_id`, `phone`, `openid`, `unionid`; the rest is how the person shows.

    `phone_verified`: a code was sent there and came back, or the merchant's own server vouches for the number.
    """

    external_id: str | None = None
    phone: str | None = None
    openid: str | None = None
    unionid: str | None = None
    phone_verified: bool = False
    nickname: str | None = None
    avatar_url: str | None = None
    avatar_asset_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MemberKeys:
    """`unique`: the columns of `KEYS` that were given. `sealed`: the columns behind them, in clear."""

    unique: Mapping[str, str | bytes]
    sealed: Mapping[str, str]


def keys_of(identity: MemberIdentity) -> MemberKeys:
    """Unprocessable where nothing identifies, or the phone cannot be one."""
    plain = {
        "phone": identity.phone and _phone(identity.phone),
        "openid": identity.openid,
        "unionid": identity.unionid,
    }
    sealed = {name: value for name, value in plain.items() if value}
    ring = get_keyring()
    unique: dict[str, str | bytes] = {"external_id": identity.external_id} if identity.external_id else {}
    unique |= {f"{name}_index": ring.blind_index(f"member.{name}", value) for name, value in sealed.items()}
    if not unique:
        detail = "A member needs one of external_id, phone, openid, unionid."
        raise Unprocessable("member_identity_missing", detail, errors=[FieldError("/member", "missing", detail)])
    return MemberKeys(unique, sealed)


def _phone(text: str) -> str:
    try:
        return people.normalise_phone(text)
    except ValueError:
        detail = "This cannot be a phone number; outside China it begins with + and the country's code."
        raise Unprocessable(
            "phone_invalid", detail, errors=[FieldError("/member/phone", "phone_invalid", detail)]
        ) from None
