"""The pure rules as tables of cases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from app.campaigns import rules
from app.kit.errors import Conflict, Unprocessable
from app.models.campaigns import STATUSES

NOW = datetime(2026, 12, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Dates:
    status: str = "active"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    ended_at: datetime | None = None


MOVES: dict[rules.Action, dict[str, str]] = {
    "publish": {
        "draft": "scheduled",
        "scheduled": "campaign_already_published",
        "active": "campaign_already_published",
        "paused": "campaign_already_published",
        "ended": "campaign_ended",
        "settled": "campaign_ended",
    },
    "pause": {
        "draft": "campaign_not_published",
        "scheduled": "campaign_not_active",
        "active": "paused",
        "paused": "paused",
        "ended": "campaign_ended",
        "settled": "campaign_ended",
    },
    "resume": {
        "draft": "campaign_not_published",
        "scheduled": "campaign_not_active",
        "active": "active",
        "paused": "active",
        "ended": "campaign_ended",
        "settled": "campaign_ended",
    },
    "end": {
        "draft": "campaign_not_published",
        "scheduled": "ended",
        "active": "ended",
        "paused": "ended",
        "ended": "ended",
        "settled": "settled",
    },
}


@pytest.mark.parametrize(
    ("action", "status", "outcome"),
    [(action, status, outcome) for action, outcomes in MOVES.items() for status, outcome in outcomes.items()],
)
def test_where_an_action_leads(action: rules.Action, status: str, outcome: str) -> None:
    if outcome in STATUSES:
        assert rules.next_status(action, status) == outcome
        return
    with pytest.raises(Conflict) as refused:
        rules.next_status(action, status)
    assert refused.value.code == outcome


def test_every_status_has_a_row_in_the_table_above() -> None:
    assert all(set(outcomes) == set(STATUSES) for outcomes in MOVES.values())


@pytest.mark.parametrize(
    ("campaign", "status"),
    [
        (Dates("draft", NOW - HOUR, NOW - HOUR), "draft"),
        (Dates("scheduled", NOW + HOUR), "scheduled"),
        (Dates("scheduled", NOW), "active"),
        (Dates("scheduled", NOW - 2 * HOUR, NOW - HOUR), "ended"),
        (Dates("active", NOW - HOUR, None), "active"),
        (Dates("active", NOW - HOUR, NOW + HOUR), "active"),
        (Dates("active", NOW - HOUR, NOW), "ended"),
        (Dates("paused", NOW - HOUR, NOW - HOUR), "ended"),
        (Dates("paused", NOW - HOUR, NOW + HOUR), "paused"),
        (Dates("ended", NOW - HOUR, NOW + HOUR), "ended"),
        (Dates("settled", NOW - HOUR, NOW + HOUR), "settled"),
    ],
)
def test_the_status_follows_the_dates_without_waiting_for_anyone(campaign: Dates, status: str) -> None:
    assert rules.status_at(campaign, NOW) == status


def outcome(campaign: Dates, what: rules.What, **asked: object) -> str:
    try:
        rules.require_open(campaign, what, now=NOW, **asked)  # type: ignore[arg-type]  # cases of two different arguments
    except Conflict as refused:
        return refused.code
    return "open"


CLOSED, OVER = "campaign_not_active", "campaign_ended"


@pytest.mark.parametrize(
    ("status", "join", "order", "order_bound_before", "refund"),
    [
        ("draft", CLOSED, CLOSED, CLOSED, CLOSED),
        ("scheduled", CLOSED, CLOSED, CLOSED, CLOSED),
        ("active", "open", "open", "open", "open"),
        ("paused", CLOSED, CLOSED, "open", "open"),
        ("ended", OVER, OVER, OVER, "open"),
        ("settled", OVER, OVER, OVER, "open"),
    ],
)
def test_what_a_campaign_takes(status: str, join: str, order: str, order_bound_before: str, refund: str) -> None:
    campaign = Dates(status, ended_at=NOW - HOUR if status == "ended" else None)
    assert outcome(campaign, "join") == join
    assert outcome(campaign, "order") == order
    assert outcome(campaign, "order", bound_before=True) == order_bound_before
    assert outcome(campaign, "refund") == refund


@pytest.mark.parametrize(
    ("campaign", "paid_at", "expected"),
    [
        (Dates("ended", ended_at=NOW - HOUR), NOW - 2 * HOUR, "open"),
        (Dates("ended", ended_at=NOW - HOUR), NOW - HOUR, OVER),
        (Dates("ended", ended_at=NOW - 3 * HOUR, ends_at=NOW - HOUR), NOW - 2 * HOUR, OVER),
        (Dates("active", ends_at=NOW - HOUR), NOW - 2 * HOUR, "open"),
        (Dates("active", ends_at=NOW - HOUR), NOW, OVER),
        (Dates("settled", ended_at=NOW - HOUR), NOW - 2 * HOUR, OVER),
    ],
)
def test_an_order_counts_when_it_was_paid_before_the_end(campaign: Dates, paid_at: datetime, expected: str) -> None:
    assert outcome(campaign, "order", paid_at=paid_at) == expected


@pytest.mark.parametrize(
    ("campaign", "before", "expected"),
    [
        (Dates("active", NOW - HOUR), timedelta(minutes=5), "open"),
        (Dates("active", NOW - HOUR), timedelta(minutes=5, seconds=1), CLOSED),
        (Dates("paused", NOW - HOUR), HOUR, CLOSED),
        (Dates("ended", NOW - 2 * HOUR, ended_at=NOW - HOUR), HOUR, CLOSED),
        (Dates("active"), HOUR, "open"),
    ],
)
def test_an_order_counts_when_it_was_paid_after_the_start(campaign: Dates, before: timedelta, expected: str) -> None:
    """Give or take what clocks differ."""
    paid_at = (campaign.starts_at or NOW) - before
    assert outcome(campaign, "order", paid_at=paid_at, bound_before=True) == expected


@pytest.mark.parametrize(
    ("status", "column", "locked"),
    [
        ("draft", "kind", False),
        ("draft", "price_minor", False),
        ("scheduled", "kind", True),
        ("scheduled", "price_minor", True),
        ("scheduled", "starts_at", False),
        ("active", "starts_at", True),
        ("paused", "currency", True),
        ("active", "ends_at", False),
        ("paused", "rules", False),
        ("active", "stock", False),
        ("ended", "name", True),
        ("ended", "rules", True),
        ("ended", "meta", False),
        ("settled", "ends_at", True),
    ],
)
def test_what_stays_as_it_is(status: str, column: str, locked: bool) -> None:
    if not locked:
        rules.require_changeable(status, [column])
        return
    with pytest.raises(Conflict) as refused:
        rules.require_changeable(status, [column, "meta"])
    assert refused.value.code == "campaign_locked"
    assert len(refused.value.errors) == 1


def test_dates_rise() -> None:
    rules.require_dates(None, NOW)
    rules.require_dates(NOW, None)
    rules.require_dates(NOW, NOW + HOUR)
    with pytest.raises(Unprocessable):
        rules.require_dates(NOW, NOW)
