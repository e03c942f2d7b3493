from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.webhooks import rules, signing


def test_eight_attempts_with_growing_waits() -> None:
    waits = [rules.wait_after(attempts) for attempts in range(1, 9)]
    assert waits[-1] is None
    assert waits[:-1] == sorted(filter(None, waits))
    assert sum(filter(None, waits), timedelta()) > timedelta(days=1)


def test_an_event_goes_to_whom_asked_for_it() -> None:
    assert rules.wants(["*"], "order.paid")
    assert rules.wants(["order.paid", "payout.paid"], "order.paid")
    assert not rules.wants(["payout.paid"], "order.paid")


def test_a_signature_is_of_utc_only() -> None:
    secret = signing.new_secret()
    utc = signing.headers_of(secret, "evt_1", b"{}", datetime(2026, 11, 21, 8, tzinfo=UTC))
    assert utc["webhook-timestamp"] == "1795248000"
    with pytest.raises(ValueError, match="UTC"):
        signing.headers_of(secret, "evt_1", b"{}", datetime(2026, 11, 21, 16, tzinfo=timezone(timedelta(hours=8))))
