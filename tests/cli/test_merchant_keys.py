"""Keys that no key can ask for: those of the platform itself, and of a merchant that has lost its own."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from fastapi import FastAPI
from sqlalchemy import select
from typer.testing import CliRunner, Result

from app.cli import app as commands
from app.merchants import house
from app.models import AuditEntry
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.merchants import client_with

runner = CliRunner()


async def run(*words: str) -> Result:
    return await asyncio.to_thread(runner.invoke, commands, ["merchants", "keys", *words])


async def read(*words: str) -> list[dict[str, Any]]:
    result = await run(*words, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = msgspec.json.decode(result.stdout)
    return found


async def whose(app: FastAPI, key: dict[str, Any]) -> tuple[str, bool]:
    async with client_with(app, key["secret_key"]) as client:
        shown = (await client.get("/v1/merchant")).json()
    return shown["id"], shown["livemode"]


async def test_the_platform_gets_keys_of_its_own(app: FastAPI, resources: Resources) -> None:
    live, test = (await read("--add", "平台后台"))[0], (await read("--test", "--add", "平台测试"))[0]
    async with resources.db.system() as session:
        houses = [(await house.id_of(session, livemode=mode), mode) for mode in (True, False)]
        written = select(AuditEntry).where(AuditEntry.subject_id == live["id"])
        (entry,) = (await session.scalars(written)).all()
    assert [await whose(app, live), await whose(app, test)] == houses
    assert (entry.actor, entry.action, entry.merchant_id) == ("command_line", "api_key.created", houses[0][0])
    assert "secret_key" not in (await read())[0]


async def test_who_has_lost_all_keys_gets_a_new_one(app: FastAPI, merchant: MerchantFixture) -> None:
    made = (await read("--merchant", merchant.test_id, "--add", "新钥匙", "--scope", "read"))[0]
    assert (made["scopes"], await whose(app, made)) == (["read"], (merchant.test_id, False))
    shown = await run("--merchant", merchant.live_id, "--add", "another")
    assert (shown.exit_code, "ivt_live_" in shown.stdout) == (0, True)


async def test_a_key_has_a_name_and_a_merchant(merchant: MerchantFixture) -> None:
    assert (await run("--merchant", merchant.live_id, "--add", " ")).exit_code == 2
    assert (await run("--merchant", merchant.live_id, "--add", "x", "--scope", "all")).exit_code == 2
    unknown = await run("--merchant", "mch_01h2xcejqtf2nbrexx3vqjhp41", "--add", "x")
    assert getattr(unknown.exception, "code", None) == "merchant_not_found"
