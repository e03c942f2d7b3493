"""Changes of campaigns, heard by two API processes at once; and what holds while they cannot be heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app import embedded
from app.campaigns import announcements
from app.db import listen
from app.db.listen import Listener
from app.kit import clock
from app.main import create_app
from app.resources import Resources
from app.settings import Settings
from app.tracking import codes
from app.tracking.announcements import followed
from app.tracking.codes import MISS, CodeCache, Destination
from tests.factories.tracking import Link

PATIENCE = 10.0
_END_LISTENERS = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE usename = current_user AND datname = current_database() AND query LIKE 'LISTEN%'"
)


async def all_of(*events: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE):
        for event in events:
            await event.wait()


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[FastAPI]:
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        await all_of(application.state.announcements.up)
        yield application


@pytest.fixture
async def both(app: FastAPI, settings: Settings) -> AsyncIterator[tuple[FastAPI, FastAPI]]:
    """Two processes as far as their memory goes."""
    await all_of(app.state.announcements.up)
    async with serving(settings) as second:
        yield app, second


def cache_of(app: FastAPI) -> CodeCache:
    cache: CodeCache = app.state.resources.tracker.codes
    return cache


async def shown(apps: tuple[FastAPI, ...], link: Link) -> list[Destination]:
    """What each of them has at hand when it has heard everything, looked up where it has nothing."""
    found = []
    for app in apps:
        await app.state.announcements.hear_oneself()
        destination = await cache_of(app).find(link.code)
        assert destination is not None
        found.append(destination)
    return found


async def post(api: httpx.AsyncClient, path: str, body: dict[str, Any] | None = None) -> None:
    answer = await api.post(path, json=body) if body else await api.post(path)
    assert answer.status_code == 200, answer.text


async def test_both_processes_see_a_campaign_paused_resumed_and_ended(
    both: tuple[FastAPI, FastAPI], api: httpx.AsyncClient, link: Link
) -> None:
    seen = [[found.status for found in await shown(both, link)]]
    for action in ("pause", "resume", "end"):
        await post(api, f"/v1/campaigns/{link.campaign_id}/{action}")
        seen.append([found.status for found in await shown(both, link)])
    assert seen == [[status] * 2 for status in ("active", "paused", "active", "ended")]
    assert [found.ended_at is None for found in await shown(both, link)] == [False] * 2


async def test_both_processes_see_other_dates(
    both: tuple[FastAPI, FastAPI], api: httpx.AsyncClient, link: Link
) -> None:
    await shown(both, link)
    ends_at = clock.utcnow().replace(microsecond=0) + timedelta(days=3)
    answer = await api.patch(f"/v1/campaigns/{link.campaign_id}", json={"ends_at": ends_at.isoformat()})
    assert answer.status_code == 200, answer.text
    assert [found.ends_at for found in await shown(both, link)] == [ends_at] * 2


async def test_both_processes_see_a_clock_that_was_moved(
    both: tuple[FastAPI, FastAPI], api: httpx.AsyncClient, link: Link
) -> None:
    before = [found.clock_offset_seconds for found in await shown(both, link)]
    await post(api, "/v1/test-clock", {"advance_seconds": 3_600})
    assert [found.clock_offset_seconds for found in await shown(both, link)] == [offset + 3_600 for offset in before]


async def test_what_is_not_committed_is_not_heard(app: FastAPI, resources: Resources, link: Link) -> None:
    (known,) = await shown((app,), link)
    async with resources.db.tenant(link.merchant_id) as session:
        await announcements.changed(session, link.campaign_id)
        await session.rollback()
    await app.state.announcements.hear_oneself()
    assert cache_of(app).get(link.code) is known


async def test_after_a_lost_connection_all_is_read_again(
    both: tuple[FastAPI, FastAPI], resources: Resources, link: Link
) -> None:
    await shown(both, link)
    listeners: list[Listener] = [app.state.announcements for app in both]
    async with resources.db.system() as session:
        assert await session.scalar(_END_LISTENERS) == 2
    await all_of(*(listener.down for listener in listeners))
    await all_of(*(listener.up for listener in listeners))
    assert [cache_of(app).get(link.code) for app in both] == [MISS, MISS]


async def test_a_listener_that_does_not_hear_itself_is_not_relied_on(
    monkeypatch: pytest.MonkeyPatch, stack: embedded.Stack, resources: Resources, link: Link
) -> None:
    """As behind a pooler that lends a connection for one transaction: it listens, and nothing comes."""
    monkeypatch.setattr(listen, "ECHO_SECONDS", 0.05)
    cache = CodeCache(resources.tracker.codes._lookup)
    async with followed(cache, resources.db, stack.url("system")) as listener:
        with pytest.raises(TimeoutError):
            await listener.hear_oneself()
        assert not listener.up.is_set()
        assert cache._good_for == codes.ALONE_SECONDS


async def test_a_listener_that_goes_deaf_is_noticed(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, resources: Resources
) -> None:
    monkeypatch.setattr(listen, "BEAT_SECONDS", 0.01)
    cache = CodeCache(resources.tracker.codes._lookup)
    async with followed(cache, resources.db, settings.database_system_url) as listener:
        await all_of(listener.up)
        assert cache._good_for == codes.LISTENING_SECONDS
        monkeypatch.setattr(listen, "ECHO_SECONDS", 0.05)
        monkeypatch.setattr(listener, "_own_channel", "nobody_listens_here")
        await all_of(listener.down)
        assert cache._good_for == codes.ALONE_SECONDS


async def test_a_process_starts_and_ends_while_nobody_can_be_heard(resources: Resources) -> None:
    cache = CodeCache(resources.tracker.codes._lookup)
    async with followed(cache, resources.db, "postgresql://nobody:x@127.0.0.1:1/none") as listener:
        assert not listener.up.is_set()
        assert cache._good_for == codes.ALONE_SECONDS
