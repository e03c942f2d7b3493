"""The number of shards is the database's: another one is refused at the start, and changed by a command alone."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from redis import Redis
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from app import embedded
from app.cli import doctor
from app.cli import shards as command
from app.db.migrations import upgrade
from app.db.redis import connect_redis
from app.db.session import Database
from app.kit.errors import Conflict, Unavailable
from app.main import create_app
from app.resources import Resources, open_resources
from app.settings import Settings, get_settings
from app.tracking import clearing, lookup, shards
from app.tracking.keys import Keys
from tests.factories import make_merchant
from tests.factories.cluster import OwnCluster
from tests.factories.commands import invitree, run
from tests.factories.tracking import Link, OwnValkey, differences, make_hit, make_link, own_valkey, settle, stored

HISTORY = text("SELECT shards, actor FROM shard_counts ORDER BY version")
END_LOCKED = text("""
    SELECT pg_terminate_backend(l.pid) FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.objid = 7204 AND l.database = (
        SELECT oid FROM pg_database WHERE datname = current_database())
""")
WORKER = ("app.worker",)
API = ("app.cli", "api", "--port", "0")


@pytest.fixture(scope="module")
def own() -> Iterator[OwnValkey]:
    with own_valkey() as server:
        yield server


@pytest.fixture
def settings(stack: embedded.Stack, own: OwnValkey, template: str) -> Iterator[Settings]:
    """With stores of its own, of two shards: nobody else has a session here."""
    name = f"shards_{uuid4().hex}"
    stack.create_database(name, template=template)
    with Redis.from_url(own.url) as client:
        client.flushall()
    given = {
        "database_url": stack.url("app", name),
        "database_system_url": stack.url("system", name),
        "redis_url": own.url,
        "track_shards": 2,
    }
    yield get_settings().model_copy(update=given)
    stack.drop_database(name)


@pytest.fixture(scope="module")
def template(stack: embedded.Stack) -> Iterator[str]:
    name = f"shards_template_{os.getpid()}"
    stack.create_database(name)
    upgrade(stack.url("owner", name))
    yield name
    stack.drop_database(name)


def of(settings: Settings, number: int) -> Settings:
    return settings.model_copy(update={"track_shards": number})


async def history(settings: Settings) -> list[tuple[int, str]]:
    async with open_resources(settings) as resources, resources.db.system() as session:
        return [(row.shards, row.actor) for row in await session.execute(HISTORY)]


@asynccontextmanager
async def agreed(settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(settings) as resources:
        await resources.tracker.agreement.require()
        yield resources


async def make_links(settings: Settings, number: int = 6) -> list[Link]:
    """Of campaigns that lie in several shards, with one click drained and shown and one that waits."""
    async with agreed(settings) as resources:
        merchant = await make_merchant(resources)
        links = [await make_link(resources, merchant.test_id) for _ in range(number)]
        await resources.tracker.record([make_hit(link, visitor="v" * 16) for link in links])
        await settle(resources)
        await resources.tracker.record([make_hit(link, visitor="w" * 16, client_event_id="again") for link in links])
    return links


async def test_the_first_start_notes_its_number_and_others_are_refused(settings: Settings) -> None:
    async with agreed(settings), agreed(settings):
        pass
    assert await history(settings) == [(2, "first_start")]
    for code, out, err in await asyncio.gather(*(run(of(settings, 3), *program) for program in (WORKER, API))):
        assert code == 3, (out, err)
        assert "track_shards_differ" in out + err
        assert "Start with TRACK_SHARDS=2" in out + err
        assert "invitree counters shards 3 --execute" in out + err
        assert "Traceback" not in out + err
    assert await history(settings) == [(2, "first_start")]


async def test_of_two_first_starts_with_different_numbers_one_is_refused(settings: Settings) -> None:
    async with open_resources(settings) as one, open_resources(of(settings, 3)) as other:
        told = await asyncio.gather(
            *(resources.tracker.agreement.require() for resources in (one, other)), return_exceptions=True
        )
    assert [getattr(error, "code", None) for error in told].count("track_shards_differ") == 1
    assert told.count(None) == 1


async def test_counters_of_another_number_are_not_rebuilt(settings: Settings) -> None:
    async with agreed(settings):
        pass
    code, _, err = await invitree(of(settings, 3), "counters", "rebuild")
    assert (code, "track_shards_differ" in err) == (3, True)


async def test_while_a_process_runs_the_number_stays(settings: Settings) -> None:
    async with agreed(settings), open_resources(settings) as resources:
        with pytest.raises(Conflict, match="processes_running"):
            await command.reshard(resources, 3)
    assert await history(settings) == [(2, "first_start")]


async def test_a_dry_run_shows_what_there_is_and_changes_nothing(settings: Settings) -> None:
    await make_links(settings, 3)
    code, out, _ = await invitree(settings, "counters", "shards", "3", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["waiting"] in (1, 2)
    assert found | {"waiting": 0} == {
        "executed": False,
        "shards": 3,
        "stored": 2,
        "waiting": 0,
        "sessions": 0,
        "restored": None,
    }
    assert await history(settings) == [(2, "first_start")]


@pytest.mark.parametrize("number", [1, 5])
async def test_another_number_loses_nothing_and_counts_nothing_twice(
    settings: Settings, own: OwnValkey, number: int
) -> None:
    links = await make_links(settings)
    # As a process of another number would have, before anybody looked.
    async with open_resources(of(settings, 7)) as astray:
        await astray.tracker.record([make_hit(link) for link in links])
    async with open_resources(settings) as resources:
        done = await command.reshard(resources, number)
    assert done.caught_up
    assert await history(settings) == [(2, "first_start"), (number, "command_line")]
    with Redis.from_url(own.url) as client:
        shards_left = {int(key.split(b"}")[0][6:]) for key in client.scan_iter("trk:*")}
    assert shards_left == set(range(number))
    async with agreed(of(settings, number)) as resources:
        for link in links:
            assert await stored(resources, link) == {"clicks": 3, "unique_visitors": 2}
            assert await differences(resources, link) == []
            figures = await resources.tracker.figures.of_campaign(link.campaign_id)
            assert figures is not None
            assert figures.counters["clicks"] == 3
        # What was handed in before is known by the rows.
        await resources.tracker.record([make_hit(link, client_event_id="again") for link in links])
        await settle(resources)
        assert await stored(resources, links[0]) == {"clicks": 3, "unique_visitors": 2}
        assert await differences(resources, links[0]) == []


async def test_broken_off_after_redis_was_cleared_the_old_number_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = await make_links(settings, 4)

    async def crash(*_: Any, **__: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(shards, "change", crash)
    async with open_resources(settings) as resources:
        with pytest.raises(ConnectionError):
            await command.reshard(resources, 5)
    assert await history(settings) == [(2, "first_start")]
    async with agreed(settings) as resources:
        await settle(resources)
        for link in links:
            assert await stored(resources, link) == {"clicks": 2, "unique_visitors": 2}
            assert await differences(resources, link) == []


async def test_who_loses_the_lock_while_streams_are_drained_clears_nothing(
    settings: Settings, own: OwnValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_links(settings, 1)

    async def ended(resources: Resources) -> None:
        """Another process may start from now on, and count."""
        async with resources.db.system() as session:
            assert await session.scalar(END_LOCKED)

    monkeypatch.setattr(command, "drain", ended)
    with Redis.from_url(own.url) as client:
        before = set(client.scan_iter("trk:*"))
        async with open_resources(settings) as resources:
            with pytest.raises(DBAPIError):
                await command.reshard(resources, 5)
        assert set(client.scan_iter("trk:*")) == before
    assert await history(settings) == [(2, "first_start")]


async def test_who_keeps_others_out_may_be_silent(settings: Settings) -> None:
    async with open_resources(settings) as resources, resources.db.system() as session:
        await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '10s'"))
        await shards.keep_others_out(session)
        assert await session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "0"


class Hesitant:
    """A connection, and what happens once behind its first answer."""

    def __init__(self, connection: Any, then: Callable[[], Awaitable[None]]) -> None:
        self._connection, self._then = connection, [then]

    def __getattr__(self, name: str) -> Any:
        async def ask(*arguments: Any) -> Any:
            answer = await getattr(self._connection, name)(*arguments)
            while self._then:
                await self._then.pop()()
            return answer

        return ask


async def test_the_number_is_read_when_nobody_changes_it_any_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that gets the lock the moment it is free sees the rows of before."""
    original = lookup.opened
    async with agreed(settings) as other, open_resources(settings) as resources:

        async def change() -> None:
            async with other.db.system() as session:
                await shards.change(session, shards=5, actor="somebody")

        @asynccontextmanager
        async def opened(db: Database) -> AsyncIterator[Any]:
            async with original(db) as connection:
                yield Hesitant(connection, change)

        monkeypatch.setattr(lookup, "opened", opened)
        with pytest.raises(Conflict, match="track_shards_differ"):
            await resources.tracker.agreement.require()


async def test_while_the_number_is_changed_no_process_starts(settings: Settings) -> None:
    async with open_resources(settings) as resources, resources.db.system() as session:
        await shards.keep_others_out(session)
        async with open_resources(settings) as other:
            with pytest.raises(Conflict, match="track_shards_changing"):
                await other.tracker.agreement.require()
            async with other.db.system() as second:
                with pytest.raises(Conflict, match="track_shards_changing"):
                    await shards.keep_others_out(second)


async def test_who_could_not_ask_at_its_start_asks_before_it_counts(settings: Settings, own: OwnValkey) -> None:
    (link, *_) = await make_links(settings, 1)
    async with open_resources(of(settings, 3)) as resources:
        with pytest.raises(Unavailable, match="track_shards_differ"):
            await resources.tracker.codes.find(link.code)
        assert await resources.tracker.figures.of_campaign(link.campaign_id) is None
        app = create_app(of(settings, 3))
        app.state.resources = resources
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
            answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "track_shards_differ")


async def test_the_doctor_names_another_number_and_clicks_that_nobody_drains(settings: Settings) -> None:
    links = await make_links(settings, 8)
    async with open_resources(of(settings, 7)) as astray:
        assert [finding.ok for finding in await doctor.check_shards(astray)] == [False]
        await astray.tracker.record([make_hit(link) for link in links])
    async with open_resources(settings) as resources:
        assert [finding.ok for finding in await doctor.check_shards(resources)] == [True]
        stray = await doctor.check_strays(resources)
    assert not stray.ok
    assert "`invitree counters shards`" in stray.found


async def test_an_installation_of_before_keeps_the_number_of_its_positions(stack: embedded.Stack) -> None:
    stack.create_database("shards_before")
    owner = stack.url("owner", "shards_before")
    await asyncio.to_thread(upgrade, owner, "0022")
    engine = create_async_engine(owner.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        positions = "INSERT INTO stream_positions (shard, epoch, position) VALUES (0, 'e', '0-0'), (2, 'e', '0-0')"
        await connection.execute(text(positions))
    await asyncio.to_thread(upgrade, owner)
    async with engine.connect() as connection:
        assert [tuple(row) for row in await connection.execute(HISTORY)] == [(3, "migration")]
    await engine.dispose()
    stack.drop_database("shards_before")


async def test_all_masters_of_a_cluster_are_cleared_of_clicks_alone(cluster: OwnCluster) -> None:
    redis = connect_redis(cluster.url)
    for shard in range(8):
        await redis.set(Keys(shard)("c:x"), 1)
        await redis.set(Keys(shard).epoch, "e")
    await redis.set("limit:x", 1)
    gone: list[int] = []
    await clearing.clear(redis, tell=gone.append)
    left = [key for master in cluster.masters for key in master.client.scan_iter()]
    await redis.aclose()
    assert sum(gone) >= 8
    assert [key for key in left if key.startswith(b"trk:")] == []
    assert b"limit:x" in left
