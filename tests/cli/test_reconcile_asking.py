"""`payouts reconcile --ask` where providers tell nothing: silence is no agreement."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import text

from app.resources import Resources
from tests.factories.terminals import Terminal

AGREED = "the ledger agree."


async def sent(resources: Resources, terminal: Terminal, *, rail: str) -> list[str]:
    """Payouts of a batch that was sent and that a provider has had."""

    def send() -> None:
        acts = ["--batch", terminal.build(), "--as", terminal.shop.checker, "--execute"]
        terminal.read("approve", *acts)
        terminal.read("send", *acts)

    await asyncio.to_thread(send)
    async with resources.db.tenant(terminal.shop.merchant_id) as session:
        had = text("UPDATE payouts SET rail = :rail, attempts = 1, rail_account = '1/wx' RETURNING id")
        await session.execute(had, {"rail": rail})
    report = await asyncio.to_thread(terminal.run, "reconcile", "--json")
    assert report[0] == 0, "without asking it agrees"
    listed = await asyncio.to_thread(terminal.run, "reconcile", "--ask", "--json")
    return sorted(msgspec.json.decode(listed[1])["not_asked"] + msgspec.json.decode(listed[1])["unanswered"])


def asked(terminal: Terminal) -> tuple[int, dict[str, Any], str]:
    code, out, _ = terminal.run("reconcile", "--ask", "--json")
    return code, msgspec.json.decode(out), "".join(terminal.run("reconcile", "--ask")[1:])


async def test_what_was_sent_with_another_account_is_named_and_not_agreed(
    terminal: Terminal, resources: Resources
) -> None:
    ids = await sent(resources, terminal, rail="wechat")
    code, report, said = await asyncio.to_thread(asked, terminal)
    assert (code, report["ok"], report["differences"]) == (4, False, [])
    assert (sorted(report["not_asked"]), report["totals"]["not_asked"]) == (ids, 2)
    assert (AGREED in said, "not agreed" in said, "--credentials" in said) == (False, True, True)
    assert all(each in said for each in ids)


async def test_a_provider_that_tells_nothing_is_no_agreement(
    terminal: Terminal, resources: Resources, tmp_path: Path
) -> None:
    silent = tmp_path / "sandbox.json"
    silent.write_text('{"loses_answers_bps": 10000}')
    await asyncio.to_thread(
        terminal.run, "rails", "set", "sandbox", str(silent), "--as", terminal.shop.checker, "--execute"
    )
    ids = await sent(resources, terminal, rail="sandbox")
    code, report, said = await asyncio.to_thread(asked, terminal)
    assert (code, report["ok"], report["totals"]["unanswered"]) == (4, False, 2)
    assert sorted(report["unanswered"]) == ids
    assert (AGREED in said, "not agreed" in said) == (False, True)
    assert all(each in said for each in ids)
