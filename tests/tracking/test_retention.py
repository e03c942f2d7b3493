"""Partitions by day of receipt, and what is kept for a while only."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from app.kit import clock
from app.resources import Resources
from app.tracking import retention, rows, store, verify_rollups
from app.tracking.hits import micros
from app.worker import tracking as worker
from tests.factories.tracking import Link, make_hit

PLACE = text("SELECT tableoid::regclass::text FROM tracked_events WHERE id = :id")
ORIGIN = text("SELECT address, user_agent FROM tracked_events WHERE id = :id")
COUNT_OLD = text("SELECT count(*) FROM tracked_events WHERE received_at < :day")
KEYS = text("SELECT seen_on FROM event_keys WHERE merchant_id = :merchant ORDER BY seen_on")


async def store_one(resources: Resources, link: Link, received_at: datetime, **values: object) -> dict[str, object]:
    hit = make_hit(link, received_us=micros(received_at), **values)  # type: ignore[arg-type]
    async with resources.db.system() as session:
        assert await store.record(session, [hit])
    return {"id": hit.id}


async def scalar(resources: Resources, statement: object, given: dict[str, object]) -> object:
    async with resources.db.system() as session:
        return await session.scalar(statement, given)  # type: ignore[call-overload]


async def test_events_go_into_the_partition_of_their_day(resources: Resources, link: Link) -> None:
    await worker.make_event_partitions(resources)
    now = clock.utcnow()
    for ahead in (-7, 0, 7):
        found = await store_one(resources, link, now + timedelta(days=ahead))
        name = f"tracked_events_{now + timedelta(days=ahead):%Y%m%d}"
        assert await scalar(resources, PLACE, found) == name


async def test_what_came_before_its_partition_is_moved_into_it(resources: Resources, link: Link) -> None:
    far = clock.utcnow() + timedelta(days=400)
    found = await store_one(resources, link, far)
    assert await scalar(resources, PLACE, found) == "tracked_events_default"
    async with resources.db.system() as session:
        assert await retention.make_partitions(session, now=far) == 15
        assert await retention.make_partitions(session, now=far) == 0
    assert await scalar(resources, PLACE, found) == f"tracked_events_{far:%Y%m%d}"


async def test_addresses_and_agents_are_forgotten_after_30_days_and_only_then(resources: Resources, link: Link) -> None:
    now = clock.utcnow() + timedelta(days=1000)
    async with resources.db.system() as session:
        await retention.make_partitions(session, now=now - timedelta(days=33))
        await retention.make_partitions(session, now=now)
    origin = {"address": "10.0.0.1", "user_agent": "WeChat"}
    old = await store_one(resources, link, now - timedelta(days=31), **origin)
    young = await store_one(resources, link, now - timedelta(days=29, hours=23), **origin)
    stray = await store_one(resources, link, now - timedelta(days=500), **origin)
    days = 0
    while await forget_a_day(resources, now):
        days += 1
    assert days
    async with resources.db.system() as session:
        for found, expected in ((old, (None, None)), (stray, (None, None)), (young, ("10.0.0.1", "WeChat"))):
            assert tuple((await session.execute(ORIGIN, found)).one()) == expected
    # A day that is done is not read again.
    assert not await forget_a_day(resources, now)


async def forget_a_day(resources: Resources, now: datetime) -> bool:
    async with resources.db.system() as session:
        return await retention.forget_origins(session, now=now)


async def test_event_keys_are_forgotten_after_30_days(resources: Resources, link: Link) -> None:
    today = clock.utcnow().date()
    for ago in (31, 30, 0):
        received_at = clock.utcnow() - timedelta(days=ago)
        await store_one(resources, link, received_at, client_event_id=f"event-{ago}")
    await worker.forget_event_keys(resources)
    async with resources.db.system() as session:
        kept: list[date] = list(await session.scalars(KEYS, {"merchant": link.target.merchant_id}))
    assert kept == [today - timedelta(days=30), today]


async def test_old_days_are_dropped_and_their_rollups_stay(resources: Resources, link: Link) -> None:
    now = clock.utcnow()
    old, older, stray = now - timedelta(days=450), now - timedelta(days=460), now - timedelta(days=700)
    for day in (old, older):
        async with resources.db.system() as session:
            await session.execute(text("SELECT ensure_event_partitions(:day, 1)"), {"day": day.date()})
    for day in (old, older, stray):
        await store_one(resources, link, day, occurred_us=micros(day))
    young = await store_one(resources, link, now - timedelta(days=399), occurred_us=micros(now))
    while await worker.drop_old_events(resources):
        pass
    async with resources.db.system() as session:
        kept = list(
            await session.scalars(text("SELECT id FROM tracked_events WHERE received_at < now() - interval '9 days'"))
        )
        counts, _ = await rows.of_campaign(session, link.target.merchant_id, link.target.campaign_id)
        assert not await verify_rollups.rollups(session, [link.target.campaign_id])
    assert young["id"] in kept
    assert await scalar(resources, COUNT_OLD, {"day": now - timedelta(days=400)}) == 0
    assert counts["clicks"] == 4


async def test_a_day_that_somebody_reads_is_dropped_another_time(resources: Resources) -> None:
    day = clock.utcnow() - timedelta(days=470)
    async with resources.db.system() as session:
        await session.execute(text("SELECT ensure_event_partitions(:day, 1)"), {"day": day.date()})
    async with resources.db.system() as reader:
        await reader.scalar(COUNT_OLD, {"day": day})
        assert await worker.drop_old_events(resources) == 0
    assert await worker.drop_old_events(resources) == 1


async def test_fewer_than_31_days_are_not_kept_by_mistake(resources: Resources) -> None:
    with pytest.raises(DBAPIError, match="31 days"):
        async with resources.db.system() as session:
            await retention.drop_events(session, now=clock.utcnow(), kept_days=30)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM tracked_events",
        "SELECT count(*) FROM event_keys",
        "SELECT ensure_event_partitions(current_date, 1)",
        "SELECT forget_event_origins(current_date)",
        "SELECT drop_event_partition(current_date - 400)",
        "SELECT count(*) FROM set_aside_entries",
        "DELETE FROM participant_totals",
    ],
)
async def test_raw_events_are_no_business_of_the_applications_role(
    resources: Resources, link: Link, statement: str
) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with resources.db.tenant(link.merchant_id) as session:
            await session.execute(text(statement))
