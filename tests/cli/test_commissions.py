"""`invitree commissions settle`, as somebody runs it after the worker has been away."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, text
from typer.testing import CliRunner, Result

from app import embedded
from app.cli import app
from app.commissions.service import release_due
from app.kit import clock, ids
from app.ledger import service as ledger
from app.ledger.queries import balance
from app.ledger.verify import verify
from app.merchants import house
from app.models import AuditEntry, Participant
from app.resources import Resources
from tests.factories import MerchantFixture, make_merchant
from tests.factories.payables import make_commission, make_user, no_release_for
from tests.factories.shops import Shop, open_shop

runner = CliRunner()


@pytest.fixture
async def shop(resources: Resources, merchant: MerchantFixture) -> Shop:
    return await furnish(resources, merchant)


async def furnish(resources: Resources, merchant: MerchantFixture) -> Shop:
    """Due since just now: 5.00 and 7.00 of the one promoter, 3.00 of the other; 9.00 is held until tomorrow."""
    shop, now = await open_shop(resources, merchant), clock.utcnow()
    async with resources.db.tenant(shop.merchant_id) as session:
        for promoter, amount in ((shop.first, 500), (shop.first, 700), (shop.second, 300)):
            await make_commission(session, promoter, amount, status="held", hold_until=now)
        await make_commission(session, shop.second, 900, status="held", hold_until=now + clock.days(1))
    return shop


@pytest.fixture
async def platform(resources: Resources) -> str:
    """Who does it: somebody of the platform's finance."""
    async with resources.db.system() as session:
        house_id = await house.ensure(session, now=clock.utcnow())
        return await make_user(session, house_id)


async def settle(*words: str, by: str | None = None) -> Result:
    who = [] if by is None else ["--as", by, "--execute"]
    return await asyncio.to_thread(runner.invoke, app, ["commissions", "settle", *words, *who])


async def read(*words: str, by: str | None = None) -> tuple[int, dict[str, Any]]:
    """`by`: who carries it out; without, it is only shown."""
    done = await settle(*words, "--json", by=by)
    found: dict[str, Any] = msgspec.json.decode(done.stdout)
    return done.exit_code, found


async def payable(resources: Resources, promoter: Participant) -> int:
    own = {"merchant_id": promoter.merchant_id, "member_id": promoter.member_id}
    async with resources.db.tenant(promoter.merchant_id) as session:
        return (await balance(session, **own)).payable_minor


async def test_without_execute_what_is_due_is_only_shown(shop: Shop, resources: Resources) -> None:
    code, found = await read("--merchant", shop.merchant_id)
    (due,) = found["due"]
    assert (code, found["executed"], found["released"]) == (0, False, {})
    assert (due["commissions"], due["members"], due["amount_minor"], due["currency"]) == (3, 2, 1_500, "CNY")
    assert await payable(resources, shop.first) == 0
    shown = await settle("--merchant", shop.merchant_id)
    assert ("15.00" in shown.stdout, "Dry run" in shown.stderr) == (True, True)


async def test_what_is_due_becomes_payable_once_and_is_written_down(
    shop: Shop, resources: Resources, platform: str
) -> None:
    code, found = await read("--merchant", shop.merchant_id, by=platform)
    assert (code, found["released"], found["left"]) == (0, {shop.merchant_id: 3}, [])
    assert [await payable(resources, one) for one in (shop.first, shop.second)] == [1_200, 300]
    assert (await read("--merchant", shop.merchant_id, by=platform))[1]["released"] == {}
    async with resources.db.tenant(shop.merchant_id) as session:
        written = select(AuditEntry).where(AuditEntry.action == "commissions.settled")
        (entry,) = (await session.scalars(written)).all()
        assert (entry.actor, entry.detail) == (platform, {"commissions": 3})
        assert (await verify(session, merchant_id=shop.merchant_id)).differences == []


async def test_nobody_settles_without_a_name(shop: Shop, resources: Resources) -> None:
    done = await settle("--merchant", shop.merchant_id, "--execute")
    assert (done.exit_code, "--as" in done.output) == (2, True)
    assert await payable(resources, shop.first) == 0


async def test_a_merchants_own_finance_settles_that_merchant_alone(shop: Shop, resources: Resources) -> None:
    other = await furnish(resources, await make_merchant(resources))
    async with resources.db.tenant(shop.merchant_id) as session:
        own, viewer = [await make_user(session, shop.merchant_id, role) for role in ("owner", "viewer")]
    refused = [
        await settle("--merchant", shop.merchant_id, by=viewer),
        await settle("--merchant", other.merchant_id, by=own),
        await settle(by=own),
        await settle("--merchant", shop.merchant_id, by=ids.new("usr")),
    ]
    codes = ["role_not_allowed", *["merchant_user_not_found"] * 3]
    assert [getattr(each.exception, "code", None) for each in refused] == codes
    assert await payable(resources, shop.first) == 0
    assert (await read("--merchant", shop.merchant_id, by=own))[1]["released"] == {shop.merchant_id: 3}


async def test_all_merchants_are_settled_by_their_own_clocks(shop: Shop, resources: Resources, platform: str) -> None:
    ahead = await furnish(resources, await make_merchant(resources))
    async with resources.db.system() as session:
        later = text("UPDATE merchants SET clock_offset_seconds = 90000 WHERE id = :id")
        await session.execute(later, {"id": ids.decode("mch", ahead.merchant_id)})
    _, found = await read(by=platform)
    assert (found["released"][shop.merchant_id], found["released"][ahead.merchant_id]) == (3, 4)


async def test_what_a_killed_run_left_is_done_by_the_next(shop: Shop, resources: Resources, platform: str) -> None:
    """The first batch is there, the second one has died with its process, while it waited for its turn."""
    async with resources.db.tenant(shop.merchant_id) as session:
        assert await release_due(session, merchant_id=shop.merchant_id, now=clock.utcnow(), limit=1) == 1
    async with resources.db.tenant(shop.merchant_id) as session:
        turn = text("SELECT pg_advisory_xact_lock(hashtextextended('settle:' || :id, 0))")
        await session.execute(turn, {"id": shop.merchant_id})
        command = [sys.executable, "-P", "-m", "app.cli", "commissions", "settle", "--as", platform, "--execute"]
        quiet: dict[str, Any] = {"stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
        process = await asyncio.create_subprocess_exec(*command, env=os.environ, **quiet)
        ended = asyncio.create_task(process.wait())
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        async with asyncio.timeout(60):
            while not await session.scalar(waiting):
                await asyncio.wait([ended], timeout=0.05)
                assert not ended.done(), "it was to wait"
        process.kill()
        assert await ended < 0
    code, found = await read("--merchant", shop.merchant_id, by=platform)
    assert (code, found["released"]) == (0, {shop.merchant_id: 2})
    assert await payable(resources, shop.first) + await payable(resources, shop.second) == 1_500


async def test_members_that_somebody_is_busy_with_are_left_and_said(
    shop: Shop, resources: Resources, platform: str
) -> None:
    async with resources.db.tenant(shop.merchant_id) as busy:
        both = [shop.first.member_id, shop.second.member_id]
        await ledger.lock(busy, merchant_id=shop.merchant_id, currency="CNY", member_ids=both[:1])
        code, found = await read("--merchant", shop.merchant_id, by=platform)
        assert (code, found["released"]) == (4, {shop.merchant_id: 1})
        assert [(one["commissions"], one["amount_minor"]) for one in found["left"]] == [(2, 1_200)]
        again = await settle("--merchant", shop.merchant_id, by=platform)
        assert (again.exit_code, "12.00" in again.stdout) == (1, True)
    assert (await read("--merchant", shop.merchant_id, by=platform))[0] == 0


async def test_a_merchant_that_cannot_be_settled_holds_up_no_other(
    shop: Shop, resources: Resources, stack: embedded.Stack, platform: str
) -> None:
    later = await furnish(resources, await make_merchant(resources))
    async with no_release_for(stack, shop.first.member_id):
        code, found = await read(by=platform)
    assert (code, found["released"][later.merchant_id]) == (4, 3)
    assert "no_release" in found["failed"][shop.merchant_id]
    assert [one["merchant_id"] for one in found["left"]] == [shop.merchant_id]


async def test_a_merchant_that_there_is_not(resources: Resources) -> None:
    assert (await settle("--merchant", "cmp_1")).exit_code == 2
    unknown = await settle("--merchant", ids.new("mch"))
    assert getattr(unknown.exception, "code", None) == "merchant_not_found"
