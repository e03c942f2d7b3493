"""Payouts that their provider tells nothing of: two people, evidence, and a provider that answers after all."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from app.kit.errors import Conflict, Forbidden, InvitreeError
from app.models import AuditEntry, Payout, PayoutDecision
from app.payouts import carrying, checkup, decisions
from app.payouts.locks import lock_batches
from app.payouts.rails.protocol import Answer
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.locks import until_blocked
from tests.factories.merchants import client_by
from tests.factories.payables import make_user
from tests.factories.rails import Counter, open_counter

ALWAYS = 10_000


@pytest.fixture
async def counter(resources: Resources, merchant: MerchantFixture) -> Counter:
    async with resources.db.system() as session:
        await session.execute(text("UPDATE payouts SET due_at = NULL"))  # of tests before this one
    return await open_counter(resources, merchant.test_id)


@pytest.fixture
async def people(counter: Counter) -> list[str]:
    """Two of finance, besides the one who approved."""
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        return [await make_user(session, counter.merchant_id) for _ in range(2)]


@pytest.fixture
async def stuck(counter: Counter) -> str:
    """A payout that its provider named once, and then lost."""
    await counter.misbehave(asks_payee_bps=ALWAYS)
    await counter.sent(700)
    await counter.carry()
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        await session.execute(text("UPDATE sandbox_transfers SET key = 'of somebody else'"))
    await counter.carry(3)
    (payout,) = await counter.payouts()
    assert (payout.status, payout.external_id is None) == ("unknown", False)
    return payout.id


async def ask(counter: Counter, payout: str, who: str, outcome: decisions.Outcome = "paid") -> PayoutDecision:
    own: dict[str, Any] = {"merchant_id": counter.merchant_id, "payout_id": payout, "actor_id": who}
    now = await counter.now()
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        return await decisions.ask(
            session, **own, outcome=outcome, reason="对账单有此笔", evidence="账单第 7 行", now=now
        )


async def confirm(counter: Counter, payout: str, who: str, outcome: decisions.Outcome = "paid") -> PayoutDecision:
    own: dict[str, Any] = {"merchant_id": counter.merchant_id, "payout_id": payout, "actor_id": who}
    now = await counter.now()
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        return await decisions.confirm(session, **own, outcome=outcome, now=now)


async def advice(counter: Counter) -> list[str]:
    now = await counter.now()
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        return [each.waits_for for each in await checkup.examine(session, merchant_id=counter.merchant_id, now=now)]


@pytest.mark.parametrize("outcome", ["paid", "failed"])
async def test_two_people_settle_what_its_provider_forgot(
    counter: Counter, people: list[str], stuck: str, outcome: decisions.Outcome
) -> None:
    assert any("settle-unknown" in each for each in await advice(counter))
    await ask(counter, stuck, people[0], outcome)
    assert [each.status for each in await counter.payouts()] == ["unknown"]
    assert any("settle-unknown --confirm" in each for each in await advice(counter))
    await confirm(counter, stuck, people[1], outcome)
    await confirm(counter, stuck, people[1], outcome)
    (payout,) = await counter.payouts()
    assert (payout.status, payout.due_at, payout.paid_at is None) == (outcome, None, outcome == "failed")
    assert ((await counter.batch(payout.batch_id)).status, await counter.differences()) == ("settled", [])
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        mine = select(AuditEntry.action, AuditEntry.actor).where(AuditEntry.subject_id == stuck).order_by(AuditEntry.id)
        rows = [tuple(row) for row in await session.execute(mine)]
    assert rows == [("payout.decision_asked", people[0]), ("payout.decision_confirmed", people[1])]


async def test_one_person_is_not_two(counter: Counter, people: list[str], stuck: str) -> None:
    await ask(counter, stuck, people[0])
    with pytest.raises(Forbidden, match="asker_is_confirmer"):
        await confirm(counter, stuck, people[0])
    with pytest.raises(Forbidden, match="approver_is_confirmer"):
        await confirm(counter, stuck, counter.checker)
    with pytest.raises(Forbidden, match="role_not_allowed"):
        await confirm(counter, stuck, counter.maker)
    with pytest.raises(Forbidden, match="person_required"):
        await confirm(counter, stuck, "key_01h2xcejqtf2nbrexx3vqjhp41")
    assert [each.status for each in await counter.payouts()] == ["unknown"]


async def test_nothing_is_confirmed_that_was_not_asked_for(counter: Counter, people: list[str], stuck: str) -> None:
    with pytest.raises(Conflict, match="payout_decision_missing"):
        await confirm(counter, stuck, people[1])
    await ask(counter, stuck, people[0], "failed")
    with pytest.raises(Conflict, match="payout_decision_differs"):
        await confirm(counter, stuck, people[1], "paid")
    await ask(counter, stuck, people[0], "paid")
    assert (await confirm(counter, stuck, people[1], "paid")).outcome == "paid"


async def test_while_it_may_still_be_sent_nobody_decides(counter: Counter, people: list[str]) -> None:
    await counter.misbehave(loses_bps=ALWAYS)
    await counter.sent(700)
    await counter.carry(3)
    (payout,) = await counter.payouts()
    assert (payout.status, payout.external_id) == ("unknown", None)
    with pytest.raises(Conflict, match="payout_not_for_people"):
        await ask(counter, payout.id, people[0])
    await counter.pass_time(30 * 86_400)
    await ask(counter, payout.id, people[0])


async def test_an_answer_that_comes_first_wins(counter: Counter, people: list[str], stuck: str) -> None:
    await ask(counter, stuck, people[0], "failed")
    await answered(counter, Answer("paid", external_id="SANDBOX1"))
    with pytest.raises(Conflict, match="payout_paid"):
        await confirm(counter, stuck, people[1], "failed")
    assert ([each.status for each in await counter.payouts()], await counter.differences()) == (["paid"], [])


async def answered(counter: Counter, answer: Answer) -> bool:
    """What the worker makes of an answer to its newest question."""
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        ((claim, _),) = await carrying.look(session, merchant_id=counter.merchant_id, batch_id=None)
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        return await carrying.record(session, claim=claim, answer=answer)


@pytest.mark.parametrize("rival", ["confirmation", "answer"])
async def test_at_the_same_moment_the_money_moves_once(
    counter: Counter, people: list[str], stuck: str, rival: str
) -> None:
    await ask(counter, stuck, people[0])
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        await lock_batches(session, counter.merchant_id)
        first = asyncio.create_task(confirm(counter, stuck, people[1]))
        await until_blocked(counter.resources, first)
        other = confirm(counter, stuck, people[1]) if rival == "confirmation" else answered(counter, Answer("paid"))
        second = asyncio.create_task(_told(other))
        await until_blocked(counter.resources, first, second)
    await asyncio.gather(first, second)
    assert ([each.status for each in await counter.payouts()], await counter.differences()) == (["paid"], [])
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        events = await session.scalars(text("SELECT type FROM outbox_events WHERE type = 'payout.paid'"))
        assert events.all() == ["payout.paid"]
        assert (await session.scalars(select(Payout.reason))).all() == ["对账单有此笔"]


async def _told(work: Any) -> Any:
    try:
        return await work
    except InvitreeError as error:
        return error.code


async def test_by_api_it_is_asked_for_seen_and_confirmed(
    counter: Counter, people: list[str], stuck: str, api: httpx.AsyncClient
) -> None:
    path, who = f"/v1/payouts/{stuck}/decision", {"user_id": people[0], "outcome": "paid"}
    why = {"reason": "对账单有此笔", "evidence": "账单第 7 行"}
    assert (await api.get(path)).json()["code"] == "payout_decision_not_found"
    asked = await api.post(path, json=who | why)
    assert (asked.status_code, asked.json()["id"], asked.json()["confirmed_by"]) == (201, stuck, None)
    assert (await api.get(path)).json()["evidence"] == why["evidence"]
    other = {"user_id": people[1], "outcome": "paid"}
    assert (await api.post(f"{path}/confirm", json=other)).json()["code"] == "idempotency_key_missing"
    same = await api.post(f"{path}/confirm", json=who, headers={"Idempotency-Key": "a"})
    assert same.json()["code"] == "asker_is_confirmer"
    done, again = [await api.post(f"{path}/confirm", json=other, headers={"Idempotency-Key": "b"}) for _ in range(2)]
    assert (done.status_code, done.json()["confirmed_by"], again.json()) == (200, people[1], done.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert ([each.status for each in await counter.payouts()], await counter.differences()) == (["paid"], [])


@pytest.mark.parametrize("part", ["decision", "decision/confirm"])
async def test_by_api_it_takes_the_scope_of_payouts(api: httpx.AsyncClient, transport: Any, part: str) -> None:
    made = (await api.post("/v1/api-keys", json={"name": "k", "scopes": ["read", "write"]})).json()
    body = {"user_id": "usr_01h2xcejqtf2nbrexx3vqjhp41", "outcome": "paid", "reason": "x", "evidence": "y"}
    async with client_by(transport, made["secret_key"]) as client:
        for noun in ("payouts/pay", "refunds/rfd"):
            path = f"/v1/{noun}_01h2xcejqtf2nbrexx3vqjhp41/{part}"
            answer = await client.post(path, json=body, headers={"Idempotency-Key": "c"})
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
