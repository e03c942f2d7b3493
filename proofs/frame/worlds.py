"""Merchants with one of everything, for proofs that walk over all operations."""

from __future__ import annotations

import re
from collections.abc import Mapping

import httpx

from proofs.frame.server import Server
from proofs.frame.stage import Stage
from tests.factories import MerchantFixture
from tests.factories.forms import new_phone, shown_code
from tests.factories.world import World, make_world

__all__ = ["World", "join", "make_full_world"]


async def make_full_world(stage: Stage, server: Server, merchant: MerchantFixture, *, live: bool = False) -> World:
    """Ids by placeholder; `key` is another key than the one that the merchant calls with."""
    world = await make_world(stage.resources, merchant, live=live)
    headers = {"Authorization": f"Bearer {merchant.live_key if live else merchant.test_key}"}
    async with httpx.AsyncClient(base_url=server.base_url, headers=headers, trust_env=False) as client:
        spare = (await client.post("/v1/api-keys", json={"name": "spare"})).json()
        payees = (await client.get(f"/v1/members/{world['mbr2']}/payee-accounts")).json()["data"]
    return world | {"key": spare["id"], "pac2": payees[0]["id"]}


async def join(server: Server, world: Mapping[str, str]) -> tuple[str, bytes]:
    """A friend signs up on the pages, which opens a session: the friend's participant, and the session's cookies."""
    form = {"phone": new_phone(), "nickname": "小明", "invite_code": world["invite_code"], "agree": "yes"}
    address = f"/h5/c/{world['cmp']}/join"
    async with httpx.AsyncClient(base_url=server.base_url, trust_env=False) as client:
        sent = await client.post(address, data={**form, "step": "send"})
        done = await client.post(address, data={**form, "step": "verify", "code": shown_code(sent)})
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return re.sub(r"^.*/h5/me/", "", done.headers["location"]), cookies.encode()
