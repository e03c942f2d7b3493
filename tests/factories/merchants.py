from __future__ import annotations

from dataclasses import dataclass

import httpx
from fastapi import FastAPI

from app.kit import clock, ids
from app.merchants.keys import make_key
from app.models import Merchant
from app.resources import Resources
from app.settings import get_keyring


@dataclass(frozen=True, slots=True)
class MerchantFixture:
    """A verified merchant: the live tenant, its test twin, and a secret key of each."""

    live_id: str
    test_id: str
    live_key: str
    test_key: str

    def client(self, app: FastAPI, *, live: bool = False) -> httpx.AsyncClient:
        key = self.live_key if live else self.test_key
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="https://t.invitree.cn",
            headers={"Authorization": f"Bearer {key}"},
        )


async def make_merchant(resources: Resources, *, name: str = "清茶书社") -> MerchantFixture:
    live_id, test_id, now = ids.new("mch"), ids.new("mch"), clock.utcnow()
    async with resources.db.system() as session:
        for own, other, livemode in ((live_id, test_id, True), (test_id, live_id, False)):
            session.add(Merchant(id=own, twin_id=other, livemode=livemode, name=name, verified_at=now))
        await session.flush()
        _, live_key = make_key(session, merchant_id=live_id, livemode=True, keyring=get_keyring())
        _, test_key = make_key(session, merchant_id=test_id, livemode=False, keyring=get_keyring())
    return MerchantFixture(live_id, test_id, live_key, test_key)
