from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import driver
from app.kit import clock, ids
from app.merchants import house, users
from app.merchants.keys import make_key
from app.resources import Resources
from app.settings import get_keyring

BASE_URL = "https://t.invitree.cn"
MEMBER_DAYS = 60
# At once: hardly a test does without, and as objects it takes twice the time.
_MAKE = """
    WITH joined AS (
        INSERT INTO members (merchant_id, id, external_id, nickname) VALUES ($3, $4, $7, $6)
    ), timeline AS (
        INSERT INTO memberships (merchant_id, member_id, ends_at) VALUES ($3, $4, $5)
    )
    INSERT INTO merchants (id, twin_id, livemode, name, verified_at, house_member_id)
    VALUES ($1, $2, true, $6, $8, $4), ($2, $1, false, $6, $8, NULL)
"""


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
    """With what registration gives, without its campaign: a member of the house with days."""
    live_id, test_id, now = ids.new("mch"), ids.new("mch"), clock.utcnow()
    async with resources.db.system() as session:
        house_id = await house.ensure(session, now=now)
        own = ids.decode("mch", live_id), ids.decode("mch", test_id)
        member = ids.decode("mch", house_id), ids.decode("mbr", ids.new("mbr")), now + timedelta(days=MEMBER_DAYS)
        await driver.fetch(session, _MAKE, *own, *member, name, live_id, now)
        _, live_key = make_key(session, merchant_id=live_id, livemode=True, keyring=get_keyring())
        _, test_key = make_key(session, merchant_id=test_id, livemode=False, keyring=get_keyring())
    return MerchantFixture(live_id, test_id, live_key, test_key)


async def make_platform_user(session: AsyncSession, role: str = "finance") -> str:
    """A person of the house, which is made where there is none; as *system*."""
    house_id = await house.ensure(session, now=clock.utcnow())
    return (await users.create(session, merchant_id=house_id, name="平台财务", role=role, actor="test")).id
