"""Live figures of a Redis that does not answer: nobody waits for what is known."""

from __future__ import annotations

from typing import Any

import httpx
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.kit import ids
from app.resources import Resources
from app.tracking import figures
from app.tracking.figures import Figures
from app.tracking.keys import shard_of
from tests.factories.tracking import WECHAT, Link, OwnValkey, settle

CAMPAIGN, PARTICIPANT = ids.new("cmp"), ids.new("ptc")


class SilentRedis:
    """Lets everybody wait until the time is over, or answers that it has nothing."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_silent = True

    async def evalsha(self, *_: Any) -> list[Any]:
        self.asked += 1
        if self.is_silent:
            raise RedisTimeoutError
        return [b"epoch", b"epoch", [], []]


def figures_of(redis: Any, *, now: list[float], bypassed: tuple[int, ...] = ()) -> Figures:
    return Figures(redis, 1, is_bypassed=lambda shard: shard in bypassed, clock=lambda: now[0])


async def test_a_redis_that_events_go_past_is_not_asked() -> None:
    redis = SilentRedis()
    bypassed = figures_of(redis, now=[0.0], bypassed=(0,))
    assert await bypassed.of_campaign(CAMPAIGN) is None
    assert await bypassed.of_participant(CAMPAIGN, PARTICIPANT) is None
    assert redis.asked == 0


async def test_who_was_not_answered_asks_again_after_a_pause() -> None:
    redis, now = SilentRedis(), [0.0]
    found = figures_of(redis, now=now)
    for at, asked in ((0.0, 1), (0.5, 1), (figures.PAUSE_SECONDS, 2), (figures.PAUSE_SECONDS + 0.5, 2)):
        now[0] = at
        assert await found.of_campaign(CAMPAIGN) is None
        assert redis.asked == asked
    redis.is_silent, now[0] = False, 2 * figures.PAUSE_SECONDS
    assert await found.of_campaign(CAMPAIGN) is not None
    assert await found.of_campaign(CAMPAIGN) is not None


async def test_while_the_breaker_is_open_figures_come_from_the_rows(
    api: httpx.AsyncClient, http: httpx.AsyncClient, resources: Resources, valkey: OwnValkey, link: Link
) -> None:
    tracker, shard = resources.tracker, shard_of(link.target.campaign_id, 2)
    with valkey.paused():
        assert (await http.get(link.path, headers={"User-Agent": WECHAT})).status_code == 302
        assert tracker.figures._is_bypassed(shard)
        assert (await api.get(f"/v1/campaigns/{link.campaign_id}/stats")).json()["clicks"] == 1
        assert tracker.figures._away == {}
    probe = tracker._recorders[shard]._probe
    assert probe is not None
    await probe
    await settle(resources)
    assert await tracker.figures.of_campaign(link.campaign_id) is not None
