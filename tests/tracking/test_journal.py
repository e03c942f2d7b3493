"""What Redis has on disk of visitors is gone before they must be forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from structlog.testing import capture_logs

from app.resources import Resources, open_resources
from app.settings import Settings
from app.tracking import journal
from app.worker import tracking as worker
from tests.factories.cluster import until
from tests.factories.tracking import Link, OwnValkey, make_hit, own_valkey

ADDRESS = "203.0.113.77"


@pytest.fixture
def durable() -> Iterator[OwnValkey]:
    with own_valkey(durable=True) as server:
        yield server


def on_disk(server: OwnValkey) -> bool:
    files = Path(server.url.removeprefix("unix://")).parent.rglob("*.aof")
    return any(ADDRESS.encode() in file.read_bytes() for file in files)


async def test_addresses_of_drained_events_leave_the_append_only_file(
    settings: Settings, link: Link, durable: OwnValkey
) -> None:
    async with open_resources(settings.model_copy(update={"redis_url": durable.url})) as own:
        with Redis.from_url(durable.url) as redis:
            await own.tracker.record([make_hit(link, address=ADDRESS)])
            until(lambda: on_disk(durable))
            redis.delete("trk:{s0}:stream", "trk:{s1}:stream")
            assert on_disk(durable)
            assert await worker.rewrite_journals(own) == 1
            until(lambda: not on_disk(durable))
            # Once in a while, whoever asks; after that again.
            assert await worker.rewrite_journals(own) == 0
            assert 0 < redis.ttl("trk:{s1}:rewritten") <= journal.EVERY.total_seconds()
            redis.delete("trk:{s1}:rewritten")
            assert await worker.rewrite_journals(own) == 1


async def test_a_redis_that_writes_no_file_is_not_asked_to(resources: Resources, link: Link) -> None:
    assert await worker.rewrite_journals(resources) == 0


async def test_where_it_may_not_be_asked_it_is_said(settings: Settings, durable: OwnValkey) -> None:
    with Redis.from_url(durable.url) as redis:
        redis.execute_command("ACL", "SETUSER", "default", "-bgrewriteaof")
    async with open_resources(settings.model_copy(update={"redis_url": durable.url})) as own:
        with capture_logs() as said:
            assert await worker.rewrite_journals(own) == 0
    assert [line["event"] for line in said] == ["append_only_file_not_rewritten"]
