"""A new merchant: two tenants, their keys and owner, its place in the house, its first days."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.kit import crypto, ids
from app.kit.errors import Conflict
from app.merchants import house, keys, verification
from app.models import Merchant, MerchantUser
from app.referrals import phone_codes
from app.referrals.members import MemberIdentity
from app.referrals.phone_codes import SentCode
from app.rewards import memberships
from app.signups import service as signups

TRIAL_DAYS = 30


@dataclass(frozen=True, slots=True)
class Registration:
    """Both secrets are not to be had again. `sent` is to be delivered once this is committed."""

    live: Merchant
    test: Merchant
    secret_key: str = field(repr=False)
    test_secret_key: str = field(repr=False)
    sent: SentCode


async def register(
    session: AsyncSession, *, name: str, contact: str, invite_code: str | None, keyring: crypto.Keyring, now: datetime
) -> Registration:
    """As *system*. `contact` is a phone number or an e-mail address, `now` the real time.

    Conflict `merchant_exists`; Unprocessable `phone_invalid`, `invite_code_unknown`.
    """
    house_id = await house.ensure(session, now=now)
    live, test = await _make_twins(session, name, phone_codes.normalise_subject(contact), keyring, now)
    secrets = [await _equip(session, merchant, keyring) for merchant in (live, test)]
    await _enter_house(session, house_id, live, test, invite_code, now)
    sent = await verification.send_code(session, live=live, now=now)
    return Registration(live, test, secrets[0], secrets[1], sent)


async def _make_twins(
    session: AsyncSession, name: str, contact: str, keyring: crypto.Keyring, now: datetime
) -> tuple[Merchant, Merchant]:
    live_id, test_id = ids.new("mch"), ids.new("mch")
    kind = "email" if "@" in contact else "phone"
    shared = {
        "name": name,
        kind: contact,
        f"{kind}_index": keyring.blind_index(f"merchant.{kind}", contact),
        "created_at": now,
    }
    live = await _insert(session, shared | {"id": live_id, "twin_id": test_id, "livemode": True})
    test = await _insert(session, shared | {"id": test_id, "twin_id": live_id, "livemode": False})
    if live is None or test is None:
        raise Conflict("merchant_exists", "This phone number or e-mail address has a merchant already.")
    return live, test


async def _insert(session: AsyncSession, values: dict[str, Any]) -> Merchant | None:
    """None where somebody was first; waits for one who is just registering."""
    statement = insert(Merchant).values(values).on_conflict_do_nothing().returning(Merchant)
    return (await session.scalars(statement)).one_or_none()


async def _equip(session: AsyncSession, merchant: Merchant, keyring: crypto.Keyring) -> str:
    """An owner and a key with all scopes; the key's secret."""
    owner = MerchantUser(merchant_id=merchant.id, id=ids.new("usr"), name=merchant.name[:80], role="owner")
    session.add(owner)
    _, secret = keys.make_key(session, merchant_id=merchant.id, livemode=merchant.livemode, keyring=keyring)
    audit.record(
        session, merchant_id=merchant.id, actor="registration", action="merchant.registered", subject_id=merchant.id
    )
    await session.flush()
    return secret


async def _enter_house(
    session: AsyncSession, house_id: str, live: Merchant, test: Merchant, invite_code: str | None, now: datetime
) -> None:
    """The same engine as for anybody's campaign; the merchant's phone counts as unverified until its code came back."""
    joined = await signups.sign_up(
        session,
        merchant_id=house_id,
        campaign_id=await house.campaign_id(session, merchant_id=house_id),
        identity=MemberIdentity(external_id=live.id, nickname=live.name[:64]),
        invite_code=invite_code,
        now=now,
    )
    live.house_member_id, live.house_participant_id = joined.member.id, joined.participant.id
    live.invite_code = test.invite_code = joined.participant.invite_code
    await memberships.extend(
        session,
        merchant_id=house_id,
        member_id=joined.member.id,
        source="trial",
        source_key=live.id,
        days=TRIAL_DAYS,
        paid=False,
        now=now,
    )
    await session.flush()
