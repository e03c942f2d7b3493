from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import httpx

from app.kit import clock

TEN_YEARS = 10 * 366 * clock.DAY_SECONDS


async def test_the_clock_runs_ahead_from_then_on(api: httpx.AsyncClient) -> None:
    moved = (await api.post("/v1/test-clock", json={"advance_seconds": TEN_YEARS})).json()
    made = (await api.post("/v1/campaigns", json={"name": "x", "kind": "refer_a_friend"})).json()
    ahead = datetime.fromisoformat(made["created_at"]) - clock.utcnow()
    assert timedelta(seconds=TEN_YEARS - 60) < ahead < timedelta(seconds=TEN_YEARS + 60)
    assert moved["object"] == "test_clock"


async def test_a_live_clock_does_not_move(live_api: httpx.AsyncClient) -> None:
    refused = await live_api.post("/v1/test-clock", json={"advance_seconds": 1})
    assert (refused.status_code, refused.json()["code"]) == (403, "test_mode_only")


async def test_the_clock_stays_in_this_century(api: httpx.AsyncClient) -> None:
    answers = [await api.post("/v1/test-clock", json={"advance_seconds": TEN_YEARS}) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [422] * 2
    assert answers[-1].json()["code"] == "clock_too_far"
    assert (await api.get("/v1/campaigns")).status_code == 200


async def test_moves_at_once_follow_each_other(api: httpx.AsyncClient) -> None:
    """Each tells the time that it made, and does what falls due until then."""
    moves = [api.post("/v1/test-clock", json={"advance_seconds": clock.DAY_SECONDS}) for _ in range(4)]
    answers = await asyncio.gather(*moves)
    ahead = sorted(datetime.fromisoformat(answer.json()["now"]) - clock.utcnow() for answer in answers)
    assert [round(gap / timedelta(days=1)) for gap in ahead] == [1, 2, 3, 4]
