from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.campaigns.rules import OVER, status_at
from app.tracking import bots, rules
from app.tracking.hits import Hit, Target, day_of, hour_start, micros, pack, unpack

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TARGET = Target(UUID(int=1), UUID(int=2), UUID(int=3))


@dataclass(frozen=True)
class Dates:
    status: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    ended_at: datetime | None = None


def hit(number: int, **values: object) -> Hit:
    given = {"kind": "click", "outcome": "human", "channel": "direct", "occurred_us": micros(NOON), "received_us": 0}
    return Hit(id=UUID(int=number), target=TARGET, **(given | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("campaign", "bot", "outcome"),
    [
        (Dates("draft"), False, None),
        (Dates("draft"), True, None),
        (Dates("scheduled", starts_at=NOON + HOUR), False, None),
        (Dates("scheduled", starts_at=NOON), False, "human"),
        (Dates("active"), False, "human"),
        (Dates("active"), True, "bot"),
        (Dates("paused"), False, "human"),
        (Dates("active", starts_at=NOON), False, "human"),
        (Dates("active", starts_at=NOON + HOUR), False, None),
        (Dates("paused", starts_at=NOON + HOUR), True, None),
        (Dates("ended", starts_at=NOON + HOUR, ended_at=NOON + 2 * HOUR), False, None),
        (Dates("ended", starts_at=NOON + HOUR, ended_at=NOON), False, "late"),
        (Dates("active", ends_at=NOON), False, "late"),
        (Dates("active", ends_at=NOON + HOUR), False, "human"),
        (Dates("ended", ended_at=NOON - HOUR), False, "late"),
        (Dates("ended", ended_at=NOON - HOUR), True, "bot"),
        (Dates("ended", ended_at=NOON + HOUR), False, "human"),
        (Dates("ended", ended_at=NOON + HOUR, ends_at=NOON - HOUR), False, "late"),
        (Dates("settled"), False, "late"),
    ],
)
def test_how_an_event_counts_hangs_on_when_it_happened(campaign: Dates, bot: bool, outcome: str | None) -> None:
    assert rules.life_of(campaign).outcome(micros(NOON), bot=bot) == outcome


@given(
    status=st.sampled_from(["draft", "scheduled", "active", "paused", "ended", "settled"]),
    dates=st.tuples(*[st.none() | st.integers(-3, 3)] * 3),
    bot=st.booleans(),
)
def test_a_life_says_of_any_instant_what_the_status_then_does(
    status: str, dates: tuple[int | None, ...], bot: bool
) -> None:
    starts_at, ends_at, ended_at = (None if hours is None else NOON + hours * HOUR for hours in dates)
    campaign = Dates(status, starts_at, ends_at, ended_at)
    life = rules.life_of(campaign)
    for half_hours in range(-8, 9):
        instant = NOON + half_hours * HOUR / 2
        then = status_at(campaign, instant)
        ended = min(filter(None, (ended_at, ends_at)), default=instant)
        expected: str | None = "late" if then in OVER and instant >= ended else "human"
        not_begun = expected == "human" and starts_at is not None and instant < starts_at
        if then in {"draft", "scheduled"} or not_begun:
            expected = None
        elif bot:
            expected = "bot"
        assert life.outcome(micros(instant), bot=bot) == expected


@pytest.mark.parametrize(
    ("occurred_at", "refusal"),
    [
        (NOON, None),
        (NOON + timedelta(seconds=60), None),
        (NOON + timedelta(seconds=61), "occurred_at_in_the_future"),
        (NOON - timedelta(hours=48), None),
        (NOON - timedelta(hours=48, seconds=1), "occurred_at_too_old"),
    ],
)
def test_instants_too_far_from_now_are_refused(occurred_at: datetime, refusal: str | None) -> None:
    assert rules.refusal_of(micros(occurred_at), micros(NOON)) == refusal


@pytest.mark.parametrize(
    ("given", "channel"),
    [
        (None, "direct"),
        ("", "direct"),
        ("WeChat", "wechat"),
        (" group ", "group"),
        ("a.b-c_9", "a.b-c_9"),
        ("朋友圈", "朋友圈"),
        ("a b", "other"),
        ("a|b", "other"),
        ("x" * 32, "x" * 32),
        ("x" * 33, "other"),
        ("ok\n", "ok"),
        ("İ" * 32, "other"),
    ],
)
def test_channels_are_names(given: str | None, channel: str) -> None:
    found = rules.channel_of(given)
    assert found == channel
    assert len(found) <= 32


def test_sums_go_by_target_hour_and_channel() -> None:
    hits = [
        hit(1),
        hit(2, kind="scan"),
        hit(3, outcome="bot", kind="scan"),
        hit(4, outcome="late"),
        hit(5, occurred_us=micros(NOON - timedelta(microseconds=1))),
        hit(6, channel="moments"),
    ]
    found = {(hour_start(hour), channel): dict(counts) for (_, hour, channel), counts in rules.totals(hits).items()}
    assert found == {
        (NOON, "direct"): {"clicks": 1, "scans": 1, "bot_hits": 1, "late_hits": 1},
        (NOON - HOUR, "direct"): {"clicks": 1},
        (NOON, "moments"): {"clicks": 1},
    }


def test_visitors_are_people_who_clicked_or_scanned_each_once_a_day() -> None:
    midnight_in_china = datetime(2026, 11, 21, 16, tzinfo=UTC)
    hits = [
        hit(1, visitor="a"),
        hit(2, visitor="a", kind="scan"),
        hit(3, visitor="a", occurred_us=micros(midnight_in_china)),
        hit(4, visitor="b", kind="view"),
        hit(5, visitor="c", outcome="bot"),
        hit(6, visitor="d", outcome="late"),
        hit(7),
    ]
    today = day_of(micros(NOON))
    assert rules.visits(hits) == {(TARGET, today, "a"), (TARGET, today + 1, "a")}


def test_packed_hits_come_back_as_they_were() -> None:
    other = Target(TARGET.merchant_id, TARGET.campaign_id, UUID(int=2**128 - 1))
    hits = [
        hit(1, visitor="v" * 16, client_event_id="a", address="2001:db8::1", user_agent="微信"),
        Hit(UUID(int=2**127), other, "scan", "late", "朋友圈", -5, 2**50),
        hit(3),
    ]
    assert unpack(pack(hits)) == hits
    assert unpack(pack(hits), without=[0, 2]) == [hits[1]]


@pytest.mark.parametrize("agent", ["", " ", "Googlebot/2.1", "WhatsApp/2.23", "python-requests/2.31", "YisouSpider"])
def test_machines_are_known_by_their_names(agent: str) -> None:
    assert bots.is_bot(agent)


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (Linux; Android 13; 2211133C) MicroMessenger/8.0.44 Weixin NetType/5G Language/zh_CN ABI/arm64",
        "Mozilla/5.0 (Linux; Android 11; CUBOT KINGKONG 5 Pro) Chrome/96.0 Mobile Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) aweme_28.0.0 BytedanceWebview/d8a21c6",
        "Mozilla/5.0 (Linux; U; Android 12) AliApp(AP/10.5.0) AlipayClient/10.5.0 Language/zh-Hans",
        "Mozilla/5.0 (iPhone) QQ/8.9.85.613 NetType/WIFI",
        "Mozilla/5.0 (Windows NT 6.1) AppleWebKit/537.36 YaBrowser/23.11 Safari/537.36",
    ],
)
def test_people_are_not_taken_for_machines(agent: str) -> None:
    assert not bots.is_bot(agent)
