"""Old hours in Redis become one; what is shown stays the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from redis import Redis

from app.kit import clock
from app.resources import Resources
from app.tracking import hours
from app.tracking.hits import micros
from app.tracking.keys import Keys, shard_of
from app.worker import tracking as worker
from tests.factories.tracking import Link, differences, make_hit, settle

DAYS = (0, 1, 30, 33, 40, 40, 100)


async def shown(api: httpx.AsyncClient, link: Link) -> list[Any]:
    now = clock.utcnow()
    spans = [("day", 110, 0), ("hour", 30, 0), ("hour", 60, 33)]
    answers = [await api.get(f"/v1/campaigns/{link.campaign_id}/stats")]
    for interval, first, last in spans:
        asked = {
            "interval": interval,
            "from": (now - timedelta(days=first)).isoformat(),
            "to": (now - timedelta(days=last)).isoformat(),
        }
        answers.append(await api.get(f"/v1/campaigns/{link.campaign_id}/timeseries", params=asked))
    assert [answer.status_code for answer in answers] == [200] * len(answers), [answer.text for answer in answers]
    return [{name: value for name, value in answer.json().items() if name not in ("from", "to")} for answer in answers]


async def test_figures_are_the_same_when_old_hours_are_folded(
    resources: Resources, api: httpx.AsyncClient, redis: Redis, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.utcnow()
    hits = [
        make_hit(link, channel=channel, occurred_us=micros(now - timedelta(days=days, hours=hour)), kind=kind)
        for days in DAYS
        for hour in range(3)
        for channel, kind in (("moments", "click"), ("chat", "scan"))
    ]
    await resources.tracker.record(hits)
    await settle(resources)
    key = Keys(shard_of(link.target.campaign_id, 2)).hours(link.target.campaign_id)
    before, fields = await shown(api, link), redis.hlen(key)
    await worker.fold_old_hours(resources)
    assert redis.hlen(key) == fields
    monkeypatch.setattr(hours, "LEAST_FIELDS", 1)
    for _ in range(2):
        await worker.fold_old_hours(resources)
        found: Any = redis.hgetall(key)
        # Of three days three hours each in two channels, and one that has all the rest.
        assert sorted(found)[:2] == [b"-1000000000|chat|scans", b"-1000000000|moments|clicks"]
        assert (len(found), found[b"-1000000000|chat|scans"]) == (3 * 3 * 2 + 2, b"12")
    assert await shown(api, link) == before
    assert await differences(resources, link) == []
