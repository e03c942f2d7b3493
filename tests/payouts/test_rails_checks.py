"""What is stuck at a provider, and where its books and ours differ."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.payouts import carrying, checkup
from app.payouts.rails import comparing
from app.payouts.rails.comparing import Recorded
from app.payouts.rails.protocol import Answer, State
from app.payouts.rails.rules import PAYEE_WAITS, WAITS, next_move, transfer_key, trusts_not_found
from app.resources import Resources
from app.worker import payouts as worker
from tests.factories import MerchantFixture
from tests.factories.payables import NOW
from tests.factories.rails import Counter, open_counter

ALWAYS = 10_000


@pytest.fixture
async def counter(resources: Resources, merchant: MerchantFixture) -> Counter:
    return await open_counter(resources, merchant.test_id)


async def stuck(counter: Counter) -> set[str]:
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        found = await checkup.examine(session, merchant_id=counter.merchant_id, now=await counter.now())
        return {each.check for each in found}


@pytest.mark.parametrize(
    ("shares", "turns", "seconds", "check"),
    [
        ({}, 0, 3_600, "payout that nobody asks after"),
        ({"times_out_bps": ALWAYS, "loses_answers_bps": ALWAYS}, 3, 0, "payout unknown to us"),
        ({"delays_bps": ALWAYS, "delay_seconds": 99_999}, 3, 0, "payout not taken by its provider"),
        ({"asks_payee_bps": ALWAYS, "confirms_after_seconds": 999_999}, 1, 86_400, "payee has not confirmed"),
        ({"delays_bps": ALWAYS, "delay_seconds": 999_999}, 1, 3 * 86_400, "batch without progress"),
    ],
)
async def test_what_is_stuck_is_named(
    counter: Counter, shares: dict[str, Any], turns: int, seconds: int, check: str
) -> None:
    await counter.misbehave(**shares)
    await counter.sent(700)
    assert await stuck(counter) == set()
    await counter.carry(turns)
    await counter.pass_time(seconds)
    assert check in await stuck(counter)


async def test_what_a_dead_worker_holds_is_named(counter: Counter) -> None:
    await counter.sent(700)
    async with counter.resources.db.system() as session:
        await carrying.claim(session, limit=99, seconds=60)
        await session.execute(text("UPDATE payouts SET leased_until = now() - interval '20 minutes'"))
    assert "payout held by a worker that is gone" in await stuck(counter)


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("UPDATE sandbox_transfers SET status = 'rejected'", "what is paid was carried out by its provider"),
        ("UPDATE sandbox_transfers SET amount_minor = 701", "the provider's transfer is of the payout's amount"),
    ],
)
async def test_a_provider_that_says_something_else_is_named(counter: Counter, fault: str, check: str) -> None:
    await counter.sent(700)
    await counter.carry()
    assert await asked(counter) == []
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        await session.execute(text(fault))
    assert await asked(counter) == [check]


async def asked(counter: Counter) -> list[str]:
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        sent = await carrying.look(session, merchant_id=counter.merchant_id, batch_id=None)
    answers = await worker.ask_after(counter.resources, [claim for claim, _ in sent])
    pairs = zip([recorded for _, recorded in sent], answers, strict=True)
    return [each.check for each in comparing.differences(pairs)]


@pytest.mark.parametrize(
    ("status", "state", "differs"),
    [
        ("paid", "paid", False),
        ("paid", "not_found", True),
        ("paid", "failed", True),
        ("paid", "unknown", False),
        ("paid", "processing", False),
        ("failed", "paid", True),
        ("failed", "failed", False),
        ("failed", "not_found", False),
        ("unknown", "paid", False),
    ],
)
def test_results_here_and_there(status: str, state: State, differs: bool) -> None:
    assert bool(comparing.differences([(Recorded("pay_1", status, 700), Answer(state))])) == differs


def test_waiting_grows_and_never_ends() -> None:
    moves = [next_move(Answer("unknown"), attempts=n, cancelling=False).wait for n in range(1, 10)]
    assert moves == [*WAITS, WAITS[-1], WAITS[-1]]
    assert next_move(Answer("awaiting_payee"), attempts=99, cancelling=False).wait == PAYEE_WAITS[-1]
    assert next_move(Answer("awaiting_payee"), attempts=1, cancelling=True).wait == WAITS[0]


def test_of_an_old_transfer_not_found_says_nothing() -> None:
    old = Recorded("pay_1", "paid", 700, is_still_told=False)
    assert comparing.differences([(old, Answer("not_found"))]) == []
    assert len(comparing.differences([(old, Answer("failed"))])) == 1


@pytest.mark.parametrize(
    ("known", "sent_days_ago", "given_up_minutes_ago", "trusted"),
    [
        (None, 0, None, True),
        (None, 28, None, True),
        (None, 29, None, False),
        ("1330", 0, None, False),
        (None, 0, 4, False),
        (None, 0, 5, True),
        ("1330", 0, 5, False),
        (None, 30, 5, False),
    ],
)
def test_when_not_found_means_that_none_was_made(
    known: str | None, sent_days_ago: int, given_up_minutes_ago: int | None, trusted: bool
) -> None:
    asked = None if given_up_minutes_ago is None else NOW - timedelta(minutes=given_up_minutes_ago)
    sent_at = NOW - timedelta(days=sent_days_ago)
    assert trusts_not_found(external_id=known, sent_at=sent_at, cancel_asked_at=asked, now=NOW) == trusted


@pytest.mark.parametrize(("attempts", "status"), [(1, "unknown"), (3, "unknown"), (4, "failed"), (40_000, "failed")])
def test_what_is_given_up_and_not_found_is_believed_late(attempts: int, status: str) -> None:
    assert next_move(Answer("not_found"), attempts=attempts, cancelling=True).status == status
    assert next_move(Answer("not_found"), attempts=attempts, cancelling=False).status == "unknown"


@pytest.mark.parametrize(("attempts", "status"), [(1, "failed"), (2, "unknown"), (3, "unknown"), (4, "failed")])
def test_a_refusal_of_a_second_call_is_believed_late(attempts: int, status: str) -> None:
    """The first may still be under way, and its key not yet known."""
    assert next_move(Answer("refused"), attempts=attempts, cancelling=False).status == status


def test_a_key_is_short_and_plain() -> None:
    key = transfer_key("pay_01h2xcejqtf2nbrexx3vqjhp41")
    assert (key, len(key) <= 32, key.isalnum()) == ("ivt01h2xcejqtf2nbrexx3vqjhp41", True, True)
