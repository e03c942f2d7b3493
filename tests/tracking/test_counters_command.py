"""`invitree counters verify` and `rebuild`, as somebody at a terminal runs them."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import text

from app.cli import counters
from app.kit import ids
from app.kit.errors import NotFound
from app.resources import Resources
from app.settings import Settings
from app.tracking import positions, repair
from app.tracking.keys import Keys, shard_of
from tests.factories.commands import invitree
from tests.factories.tracking import Link, OwnValkey, differences, make_hit, settle, stored

AUDITED = text("SELECT action FROM audit_entries WHERE subject_id = :campaign")


async def run(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    return await invitree(settings, "counters", *arguments)


async def test_verify_waits_for_the_drain_and_finds_agreement(
    resources: Resources, settings: Settings, link: Link
) -> None:
    await resources.tracker.record([make_hit(link, visitor=f"{n % 3}" * 16) for n in range(10)])
    code, _, err = await run(settings, "verify", "--campaign", link.campaign_id)
    assert code == 0, err
    assert "agree" in err
    assert await stored(resources, link) == {"clicks": 10, "unique_visitors": 3}


async def test_verify_names_what_differs_and_rebuild_sets_it_right(
    resources: Resources, settings: Settings, redis: Redis, link: Link
) -> None:
    await resources.tracker.record([make_hit(link) for _ in range(3)])
    keys = Keys(shard_of(link.target.campaign_id, settings.track_shards))
    redis.hincrby(keys.participant(link.target.participant_id), "clicks", 2)
    code, out, _ = await run(settings, "verify", "--merchant", link.merchant_id, "--json")
    found: dict[str, Any] = json.loads(out)
    assert (code, found["ok"], found["campaigns"], found["participants"]) == (1, False, 1, 1)
    assert found["differences"] == [
        {
            "store": "redis",
            "campaign_id": link.campaign_id,
            "where": link.participant_id,
            "counter": "clicks",
            "counted": 5,
            "rows": 3,
        }
    ]
    code, out, err = await run(settings, "rebuild", "--campaign", link.campaign_id)
    assert code == 0, err
    assert await differences(resources, link) == []
    async with resources.db.system() as session:
        assert (await session.scalars(AUDITED, {"campaign": link.campaign_id})).all() == ["counters.rebuilt"]


async def test_rebuild_restores_a_wiped_redis(
    resources: Resources, settings: Settings, redis: Redis, link: Link
) -> None:
    await resources.tracker.record([make_hit(link, visitor="v" * 16) for _ in range(3)])
    await counters.compare(resources, merchant=None, campaign=None)
    redis.flushall()
    done = await counters.restore(resources, merchant=link.merchant_id, campaign=None)
    assert done == counters.Restored(campaigns=1, caught_up=True)
    keys = Keys(shard_of(link.target.campaign_id, settings.track_shards))
    assert redis.get(keys.ready) == redis.get(keys.epoch)
    assert await differences(resources, link) == []


async def test_a_rollup_that_says_other_than_the_rows_is_found(resources: Resources, link: Link) -> None:
    await resources.tracker.record([make_hit(link) for _ in range(3)])
    await counters.compare(resources, merchant=None, campaign=link.campaign_id)
    wrong = text("UPDATE participant_totals SET scans = 4 WHERE campaign_id = :campaign")
    async with resources.db.system() as session:
        await session.execute(wrong, {"campaign": link.target.campaign_id})
    found = (await counters.compare(resources, merchant=None, campaign=link.campaign_id)).differences
    assert ("rollup", "scans", 4, 0) in {(d.store, d.counter, d.counted, d.rows) for d in found}


async def test_an_unknown_campaign_is_not_found(resources: Resources) -> None:
    for campaign in (ids.new("cmp"), "nonsense"):
        with pytest.raises(NotFound, match="campaign_not_found"):
            await counters.compare(resources, merchant=None, campaign=campaign)


async def test_without_redis_verify_fails_and_says_why(settings: Settings, valkey: OwnValkey, link: Link) -> None:
    with valkey.stopped():
        code, _, err = await run(settings, "verify", "--campaign", link.campaign_id)
    assert code == 1
    assert "redis_unavailable" in err


async def test_a_rebuild_that_redis_breaks_off_is_left_to_the_worker(
    resources: Resources, settings: Settings, valkey: OwnValkey, link: Link
) -> None:
    await resources.tracker.record([make_hit(link) for _ in range(3)])
    await settle(resources)
    with valkey.stopped():
        code, _, err = await run(settings, "rebuild", "--campaign", link.campaign_id)
    assert code == 1
    assert "redis_unavailable" in err
    async with resources.db.system() as session:
        owed = await repair.next_request(session)
    assert owed is not None
    assert owed.campaign_id == link.target.campaign_id
    await settle(resources)
    assert await differences(resources, link) == []


async def test_a_rebuild_says_for_whom_it_waits_and_goes_on(resources: Resources, link: Link) -> None:
    await resources.tracker.record([make_hit(link)])
    shard = shard_of(link.target.campaign_id, resources.settings.track_shards)
    told: list[str | None] = []
    is_told = asyncio.Event()

    def waits(why: str | None) -> None:
        told.append(why)
        if why is not None:
            is_told.set()

    async with asyncio.TaskGroup() as group, resources.db.system() as other:
        await positions.lock(other, shard)
        restoring = counters.restore_campaign(
            resources, link.target.merchant_id, link.target.campaign_id, lambda _: None, waits
        )
        group.create_task(restoring)
        await is_told.wait()
    assert re.fullmatch(rf"session \d+ has had shard {shard} for \d+ s and repairs its counters", str(told[0]))
    assert told[-1] is None
    assert await differences(resources, link) == []
