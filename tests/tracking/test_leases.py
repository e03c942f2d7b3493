"""One worker a shard at a time, and another one when it dies, hangs, or is cut off."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.resources import Resources, open_resources
from app.settings import Settings
from app.tracking import leases, live, positions
from app.tracking.keys import shard_of
from app.worker import held
from app.worker import tracking as worker
from tests.factories.locks import until_blocked
from tests.factories.tracking import Link, drain_all, make_hit, stored

PATIENCE = 30
ROOT = Path(__file__).resolve().parents[2]
# A worker that stops itself in the middle of its transaction, with everything written and nothing committed. Of two
# pieces the second is copied by then; or it stops when the first is committed, before the second has its turn.
FROZEN = """
import asyncio, functools, os, signal, sys
from app.resources import open_resources
from app.settings import Settings
from app.tracking import bulk, drain, leases, pieces, positions
from app.worker import tracking

leases.LEASE_SECONDS = 0.4
pieces.Pace = functools.partial(pieces.Pace, wanted=600, an_entry=600)
save, copy, follow = positions.save, bulk.copy, drain.follow
left = int(sys.argv[6])
copied = asyncio.Event()

async def count(*arguments):
    global left
    await copy(*arguments)
    left -= 1
    if not left:
        copied.set()

def freeze():
    positions.save, drain.follow = save, follow
    os.kill(os.getpid(), signal.SIGSTOP)

async def freeze_behind(*arguments):
    await save(*arguments)
    await copied.wait()
    freeze()

async def freeze_between(*arguments, **given):
    freeze()
    return await follow(*arguments, **given)

bulk.copy = count

async def main():
    settings = Settings(DATABASE_URL=sys.argv[1], DATABASE_SYSTEM_URL=sys.argv[2], REDIS_URL=sys.argv[3],
                        TRACK_SHARDS=2, INVITREE_LOG_LEVEL="error")
    async with open_resources(settings) as resources:
        if sys.argv[5] == "behind":
            positions.save = freeze_behind
        else:
            drain.follow = freeze_between
        try:
            await tracking.drain_shard(resources, int(sys.argv[4]))
        except Exception as error:
            print("rolled back:", type(error).__name__, flush=True)
        else:
            print("committed", flush=True)

asyncio.run(main())
"""


@pytest.fixture
async def other(settings: Settings) -> AsyncIterator[Resources]:
    """Another worker, with connections of its own."""
    async with open_resources(settings) as resources:
        yield resources


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.4)


def shard_for(link: Link) -> int:
    return shard_of(link.target.campaign_id, 2)


async def test_who_holds_the_lease_drains_and_nobody_else(resources: Resources, other: Resources, link: Link) -> None:
    shard = shard_for(link)
    assert await other.leases.hold(shard)
    await resources.tracker.record([make_hit(link)])
    assert await worker.drain_shard(resources, shard) == 0
    assert await worker.drain_shard(other, shard) == 1


async def test_a_lease_that_is_given_back_is_free_at_once(resources: Resources, other: Resources, link: Link) -> None:
    shard = shard_for(link)
    assert await other.leases.hold(shard)
    assert not await resources.leases.hold(shard)
    await other.leases.release()
    assert await resources.leases.hold(shard)
    await resources.leases.release()


@pytest.mark.usefixtures("short")
async def test_a_lease_runs_out_unless_it_is_used(resources: Resources, other: Resources, link: Link) -> None:
    shard = shard_for(link)
    assert await other.leases.hold(shard)
    async with other.leases.kept(shard):
        until = time.monotonic() + 1
        while time.monotonic() < until:
            assert not await resources.leases.hold(shard)
    while not await resources.leases.hold(shard):
        assert time.monotonic() < until + PATIENCE
    assert not await other.leases.hold(shard)
    await resources.leases.release()


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("where", "transactions"), [("behind", 1), ("behind", 2), ("between", 2)])
async def test_a_worker_that_hangs_in_its_transactions_is_followed_by_another(
    resources: Resources, settings: Settings, link: Link, where: str, transactions: int
) -> None:
    count, shard = 600 * transactions, shard_for(link)
    for _ in range(transactions):
        hits = [make_hit(link, visitor="v" * 16) for _ in range(600)]
        await live.record(resources.redis, live.make_batch(shard, hits))
    urls = (settings.database_url, settings.database_system_url, settings.redis_url)
    arguments = [sys.executable, "-c", FROZEN, *urls, str(shard), where, str(transactions)]
    frozen = await asyncio.create_subprocess_exec(*arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        await asyncio.to_thread(os.waitid, os.P_PID, frozen.pid, os.WSTOPPED | os.WNOWAIT)
        async with asyncio.timeout(PATIENCE):
            while not await worker.drain_shard(resources, shard):
                pass
        assert await stored(resources, link) == {"clicks": count, "unique_visitors": 1}
    finally:
        frozen.send_signal(signal.SIGCONT)
        said, _ = await frozen.communicate()
    assert b"rolled back" in said
    await drain_all(resources)
    assert await stored(resources, link) == {"clicks": count, "unique_visitors": 1}


async def test_a_session_that_works_is_not_ended(resources: Resources, link: Link) -> None:
    shard = shard_for(link)
    async with resources.db.system() as busy:
        await positions.lock(busy, shard)
        assert await worker.drain_shard(resources, shard) == 0
        await positions.read(busy, shard)


@pytest.mark.usefixtures("short")
async def test_who_is_ahead_of_one_that_works_is_not_ended(resources: Resources, link: Link) -> None:
    shard, gate = shard_for(link), text("SELECT pg_advisory_xact_lock(1), pg_sleep(0.5)")
    async with AsyncSession(resources.db.system_engine) as ahead, resources.db.system() as busy:
        await positions.lock(busy, shard)
        await positions.announce(ahead, shard)
        async with resources.db.system() as other:
            await other.execute(gate)
            works = asyncio.create_task(busy.execute(gate))
            await until_blocked(resources, works)
            await positions.end_the_silent(other, shard, seconds=leases.LEASE_SECONDS)
        await works
        await positions.read(ahead, shard)
        await busy.commit()
        await busy.execute(gate)
        await positions.end_the_silent(busy, shard, seconds=leases.LEASE_SECONDS)
        with pytest.raises(DBAPIError):
            await positions.read(ahead, shard)


async def read_under_lock(resources: Resources, shard: int) -> positions.Position:
    return await held.on_shard(resources, shard, lambda session: positions.read(session, shard))


@pytest.mark.usefixtures("short")
async def test_who_hangs_with_the_lock_loses_it_to_a_repair(resources: Resources, link: Link) -> None:
    shard = shard_for(link)
    async with AsyncSession(resources.db.system_engine) as hanging:
        await positions.lock(hanging, shard)
        assert isinstance(await read_under_lock(resources, shard), positions.Position)
        with pytest.raises(DBAPIError):
            await positions.read(hanging, shard)


async def test_a_repair_that_waits_for_too_long_names_for_whom(
    resources: Resources, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "PATIENCE_SECONDS", 0.0)
    shard = shard_for(link)
    async with resources.db.system() as busy:
        await positions.lock(busy, shard, positions.COMPARES)
        with pytest.raises(positions.HeldError, match=f"shard_busy: .* has had shard {shard} .* compares its counters"):
            await read_under_lock(resources, shard)


@pytest.mark.parametrize("first", [True, False])
async def test_who_is_ahead_is_not_taken_for_who_has_the_shard(
    resources: Resources, link: Link, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    monkeypatch.setattr(held, "PATIENCE_SECONDS", 0.0)
    shard = shard_for(link)
    async with resources.db.system() as ahead, resources.db.system() as busy:
        if first:
            await positions.announce(ahead, shard)
        await positions.lock(busy, shard, positions.COMPARES)
        if not first:
            await positions.announce(ahead, shard)
        with pytest.raises(positions.HeldError, match="compares its counters"):
            await read_under_lock(resources, shard)
