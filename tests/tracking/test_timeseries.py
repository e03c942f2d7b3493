"""Counters by hour, day and channel: live, from the rows, and the same after everything was started again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.kit import clock, ids
from app.kit.errors import Unprocessable
from app.main import create_app
from app.resources import Resources
from app.settings import Settings
from app.tracking import figures, series
from app.tracking.hits import COUNTERS
from app.tracking.keys import Keys
from app.tracking.series import Cell, Interval, span_of
from tests.factories import MerchantFixture, make_merchant
from tests.factories.tracking import WECHAT, Link, OwnValkey, make_link, settle

NOW = datetime(2026, 11, 21, 15, 30, tzinfo=UTC)  # 23:30 in China
HOUR = timedelta(hours=1)
# Named in every request, so that no hour begins between two of them.
SOON = clock.utcnow().replace(minute=0, second=0, microsecond=0) + 2 * HOUR


def item(link: Link, at: datetime, **values: Any) -> dict[str, Any]:
    event = {"event_id": ids.new("x"), "type": "click", "invite_code": link.code, "occurred_at": at.isoformat()}
    return event | values


@asynccontextmanager
async def counters_unready(resources: Resources) -> AsyncIterator[None]:
    """As while they are being rebuilt."""
    names = [Keys(shard).ready for shard in range(2)]
    ready: list[Any] = [await resources.redis.get(name) for name in names]
    for name in names:
        await resources.redis.delete(name)
    yield
    for name, epoch in zip(names, ready, strict=True):
        await resources.redis.set(name, epoch)


async def send(api: httpx.AsyncClient, *items: dict[str, Any]) -> list[str]:
    answer = await api.post("/v1/events", json=items)
    return [entry["status"] for entry in answer.json()["data"]]


async def ask(api: httpx.AsyncClient, link: Link, **query: Any) -> dict[str, Any]:
    given = {"to": SOON, **query}
    params = {name.rstrip("_"): v.isoformat() if isinstance(v, datetime) else v for name, v in given.items()}
    answer = await api.get(f"/v1/campaigns/{link.campaign_id}/timeseries", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def counted(found: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Counters that are not zero by when they begin."""
    points = {point["at"]: {name: point[name] for name in COUNTERS if point[name]} for point in found["data"]}
    return {at: counters for at, counters in points.items() if counters}


def spelled(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("interval", "starts_at", "ends_at", "expected"),
    [
        ("hour", None, None, (NOW.replace(day=20, hour=16, minute=0), NOW.replace(hour=16, minute=0))),
        ("hour", NOW, NOW + HOUR, (NOW.replace(minute=0), NOW.replace(hour=17, minute=0))),
        ("hour", NOW.replace(minute=0), NOW, (NOW.replace(minute=0), NOW.replace(hour=16, minute=0))),
        ("day", None, None, (NOW.replace(month=10, day=22, hour=16, minute=0), NOW.replace(hour=16, minute=0))),
        ("day", NOW, NOW + HOUR, (NOW.replace(day=20, hour=16, minute=0), NOW.replace(day=22, hour=16, minute=0))),
    ],
    ids=["the last 24 hours", "touched hours", "a whole hour", "the last 30 days", "days as China has them"],
)
def test_a_span_is_whole_intervals(
    interval: Interval, starts_at: datetime | None, ends_at: datetime | None, expected: tuple[datetime, datetime]
) -> None:
    span = span_of(interval, starts_at, ends_at, NOW)
    assert (span.starts_at, span.ends_at) == expected


@pytest.mark.parametrize(
    ("interval", "days", "code"),
    [
        ("hour", 31, None),
        ("hour", 32, "range_too_long"),
        ("day", 400, None),
        ("day", 401, "range_too_long"),
        ("hour", 0, "range_empty"),
        ("day", -1, "range_empty"),
    ],
)
def test_a_span_is_bounded(interval: Interval, days: int, code: str | None) -> None:
    midnight = NOW.replace(hour=16, minute=0)
    if code is None:
        assert span_of(interval, midnight - timedelta(days=days), midnight, NOW).ends_at == midnight
        return
    with pytest.raises(Unprocessable) as refused:
        span_of(interval, midnight - timedelta(days=days), midnight, NOW)
    assert refused.value.code == code


def test_channels_that_brought_most_people_come_first() -> None:
    cells = [
        Cell(1, "few", "clicks", 1),
        Cell(1, "shared", "shares", 9),
        Cell(1, "many", "clicks", 2),
        Cell(2, "many", "scans", 3),
        Cell(2, "b", "clicks", 1),
        Cell(2, "machines", "bot_hits", 70),
    ]
    assert [sums["channel"] for sums in series.by_channel(cells)] == ["many", "b", "few", "machines", "shared"]
    assert series.by_channel(cells)[0] == {"channel": "many", **dict.fromkeys(COUNTERS, 0), "clicks": 2, "scans": 3}


async def test_events_count_in_their_own_hour_and_day_and_gaps_are_zeros(api: httpx.AsyncClient, link: Link) -> None:
    now = clock.utcnow()
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    old = this_hour - 30 * HOUR
    await send(
        api, item(link, now), item(link, now, type="scan"), item(link, old), item(link, old + HOUR, user_agent="curl/8")
    )
    by_hour = await ask(api, link, from_=SOON - 42 * HOUR)
    assert counted(by_hour) == {
        spelled(old): {"clicks": 1},
        spelled(old + HOUR): {"bot_hits": 1},
        spelled(this_hour): {"clicks": 1, "scans": 1},
    }
    assert [point["at"] for point in by_hour["data"]] == [spelled(SOON - n * HOUR) for n in range(42, 0, -1)]
    by_day = await ask(api, link, interval="day")
    assert len(by_day["data"]) == 30
    assert by_day["data"][-1]["day"] == clock.shanghai(SOON - HOUR).date().isoformat()
    sums: dict[str, dict[str, int]] = {}
    for point in by_hour["data"]:
        day = clock.shanghai(datetime.fromisoformat(point["at"])).date().isoformat()
        for name in COUNTERS:
            sums.setdefault(day, dict.fromkeys(COUNTERS, 0))[name] += point[name]
    shown = {point["day"]: {name: point[name] for name in COUNTERS} for point in by_day["data"]}
    assert {day: shown[day] for day in sums} == sums


async def test_a_late_event_counts_in_its_own_hour_once_whichever_way_it_comes_again(
    api: httpx.AsyncClient, resources: Resources, link: Link
) -> None:
    then = clock.utcnow() - 7 * HOUR
    late = item(link, then, channel="moments", visitor_id="one")
    expected = {spelled(then.replace(minute=0, second=0, microsecond=0)): {"clicks": 1}}
    assert await send(api, late) == ["accepted"]
    assert await send(api, late, late) == ["duplicate"] * 2
    assert counted(await ask(api, link)) == expected
    await settle(resources)
    # Redis has forgotten that it came, Postgres has not.
    for key in await resources.redis.keys("trk:{s*}:e:*"):
        await resources.redis.delete(key)
    await send(api, late)
    await settle(resources)
    assert counted(await ask(api, link)) == expected
    async with counters_unready(resources):
        assert counted(await ask(api, link)) == expected


async def test_one_channel_by_itself(api: httpx.AsyncClient, resources: Resources, link: Link) -> None:
    now = clock.utcnow()
    await send(api, item(link, now, channel="moments"), item(link, now, channel="moments"), item(link, now))
    this_hour = spelled(now.replace(minute=0, second=0, microsecond=0))

    async def check() -> None:
        for given, kept, clicks in (("Moments", "moments", 2), ("", "direct", 1), ("nobody", "nobody", 0)):
            found = await ask(api, link, channel=given)
            assert found["channel"] == kept
            assert counted(found) == ({this_hour: {"clicks": clicks}} if clicks else {})
        assert counted(await ask(api, link)) == {this_hour: {"clicks": 3}}

    await check()
    await settle(resources)
    async with counters_unready(resources):
        await check()


async def test_a_history_too_long_for_redis_is_read_from_the_rows(
    monkeypatch: pytest.MonkeyPatch, api: httpx.AsyncClient, resources: Resources, link: Link
) -> None:
    now = clock.utcnow()
    await send(api, *(item(link, now - n * HOUR, channel=f"c{n}") for n in range(3)))
    await settle(resources)
    path = f"/v1/campaigns/{link.campaign_id}/stats"
    live, by_hour = (await api.get(path)).json(), await ask(api, link)
    monkeypatch.setattr(figures, "MOST_FIELDS", 2)
    found = await resources.tracker.figures.of_campaign(link.campaign_id)
    assert found is not None
    assert (found.counters["clicks"], found.cells) == (3, None)
    assert ((await api.get(path)).json(), await ask(api, link)) == (live, by_hour)
    # What waits to be drained is in neither the totals nor the channels, instead of in one of them.
    await send(api, item(link, now, channel="c0"))
    shown = (await api.get(path)).json()
    assert shown["clicks"] == sum(channel["clicks"] for channel in shown["channels"])
    await settle(resources)
    assert (await api.get(path)).json()["clicks"] == 4


async def test_figures_are_the_same_after_redis_the_api_and_the_worker_were_started_again(
    api: httpx.AsyncClient,
    http: httpx.AsyncClient,
    settings: Settings,
    resources: Resources,
    merchant: MerchantFixture,
    valkey: OwnValkey,
    link: Link,
) -> None:
    now = clock.utcnow()
    for number, query in enumerate(("", "?s=qr", "?s=qr&ch=group", "?ch=moments", "?ch=moments")):
        http.cookies.clear()
        await http.get(link.path + query, headers={"User-Agent": f"{WECHAT} {number // 2}"})
    await http.head(link.path)
    await send(api, item(link, now - 9 * HOUR, channel="moments", type="share"), item(link, now - 26 * HOUR))
    paths = [
        f"/v1/campaigns/{link.campaign_id}/stats",
        f"/v1/participants/{link.participant_id}/stats",
        *(
            f"/v1/campaigns/{link.campaign_id}/timeseries?to={spelled(SOON)}&interval={each}"
            for each in ("hour", "day", "day&channel=moments")
        ),
    ]
    before = [(await api.get(path)).json() for path in paths]
    await settle(resources)
    from_redis = [(await api.get(path)).json() for path in paths]
    with valkey.stopped():
        from_rows = [(await api.get(path)).json() for path in paths]
    again = create_app(settings)
    async with again.router.lifespan_context(again), merchant.client(again) as client:
        being_rebuilt = [(await client.get(path)).json() for path in paths]
        await settle(again.state.resources)
        assert await again.state.resources.tracker.figures.of_campaign(link.campaign_id) is not None
        rebuilt = [(await client.get(path)).json() for path in paths]
    assert before == from_redis == from_rows == being_rebuilt == rebuilt
    assert [entry["channel"] for entry in before[0]["channels"]] == ["direct", "moments", "group"]
    assert (before[0]["channels"][1]["clicks"], before[0]["channels"][1]["shares"]) == (2, 1)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("interval=week", "validation_failed"),
        ("from=yesterday", "validation_failed"),
        ("from=2026-11-21T10:00:00Z&to=2026-11-21T10:00:00Z", "range_empty"),
        ("from=2026-01-01T00:00:00Z&to=2026-02-02T00:00:00Z", "range_too_long"),
        ("interval=day&from=2024-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "range_too_long"),
    ],
)
async def test_what_cannot_be_answered_is_refused(api: httpx.AsyncClient, link: Link, query: str, code: str) -> None:
    answer = await api.get(f"/v1/campaigns/{link.campaign_id}/timeseries?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_another_merchants_series_is_not_found(api: httpx.AsyncClient, resources: Resources) -> None:
    foreign = await make_link(resources, (await make_merchant(resources)).test_id)
    for campaign_id in (foreign.campaign_id, ids.new("cmp"), "nonsense"):
        answer = await api.get(f"/v1/campaigns/{campaign_id}/timeseries")
        assert (answer.status_code, answer.json()["code"]) == (404, "campaign_not_found")
