"""An outage is told at its beginning, at doubling intervals, and at its end."""

from __future__ import annotations

from app.kit.outages import Outages


def test_an_outage_is_told_ever_more_seldom_and_at_its_end() -> None:
    now = [0.0]
    outages = Outages(lambda: now[0])
    assert outages.ended("redis") is None
    told = []
    for tenths in range(1_000):
        now[0] = tenths / 10
        if outages.is_news("redis"):
            told.append(now[0])
    assert told == [0, 5, 10, 20, 40, 80]
    assert outages.is_news("another")
    now[0] = 100.0
    assert (outages.ended("redis"), outages.ended("redis")) == (100.0, None)
    assert outages.is_news("redis")
