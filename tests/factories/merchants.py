from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import clock, ids
from app.merchants import house, users
from app.merchants.keys import make_key
from app.models import Member, Membership, Merchant
from app.resources import Resources
from app.settings import get_keyring

BASE_URL = "https://t.invitree.cn"
MEMBER_DAYS = 60


@dataclass(frozen=True, slots=True)
class MerchantFixture:
    """A verified merchant with days left: the live tenant, its test twin, and a secret key of each."""

    live_id: str
    test_id: str
    live_key: str
    test_key: str

    def client(self, app: FastAPI, *, live: bool = False) -> httpx.AsyncClient:
        return client_with(app, self.live_key if live else self.test_key)


def client_with(app: FastAPI, secret: str) -> httpx.AsyncClient:
    return client_by(httpx.ASGITransport(app), secret)


def client_by(transport: httpx.AsyncBaseTransport, secret: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=transport, base_url=BASE_URL, headers={"Authorization": f"Bearer {secret}"})


async def make_merchant(resources: Resources, *, name: str = "清茶书社") -> MerchantFixture:
    live_id, test_id, now = ids.new("mch"), ids.new("mch"), clock.utcnow()
    async with resources.db.system() as session:
        member_id = await _join_house(session, live_id, name)
        for own, other, livemode in ((live_id, test_id, True), (test_id, live_id, False)):
            merchant = Merchant(id=own, twin_id=other, livemode=livemode, name=name, verified_at=now)
            merchant.house_member_id = member_id if livemode else None
            session.add(merchant)
        await session.flush()
        _, live_key = make_key(session, merchant_id=live_id, livemode=True, keyring=get_keyring())
        _, test_key = make_key(session, merchant_id=test_id, livemode=False, keyring=get_keyring())
    return MerchantFixture(live_id, test_id, live_key, test_key)


async def _join_house(session: AsyncSession, live_id: str, name: str) -> str:
    """What registration gives, without its campaign: a member of the house with days."""
    now = clock.utcnow()
    house_id = await house.ensure(session, now=now)
    member = Member(merchant_id=house_id, id=ids.new("mbr"), external_id=live_id, nickname=name)
    session.add(member)
    await session.flush()
    ends_at = now + timedelta(days=MEMBER_DAYS)
    session.add(Membership(merchant_id=house_id, member_id=member.id, ends_at=ends_at))
    await session.flush()
    return member.id


async def make_platform_user(session: AsyncSession, role: str = "finance") -> str:
    """A person of the house, which is made where there is none; as *system*."""
    house_id = await house.ensure(session, now=clock.utcnow())
    return (await users.create(session, merchant_id=house_id, name="平台财务", role=role, actor="test")).id
