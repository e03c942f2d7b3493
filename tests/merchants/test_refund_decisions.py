"""Refunds that their provider does not carry out: two people, evidence, and a provider that answers after all."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from app.kit import clock, ids
from app.models import AuditEntry, Checkout, SandboxPayment
from app.orders import paying_back
from app.orders.providers.protocol import payment_key
from app.payouts import checkup
from app.resources import Resources
from app.worker import refunds as worker
from tests.factories import MerchantFixture
from tests.factories.checkouts import Desk
from tests.factories.payables import make_user
from tests.factories.shops import Till, open_shop

WHY = {"reason": "银行转账退回", "evidence": "回单 7"}


@pytest.fixture
async def desk(resources: Resources, merchant: MerchantFixture) -> Desk:
    return Desk(resources, await open_shop(resources, merchant, stock=5))


@pytest.fixture
def till(api: httpx.AsyncClient, resources: Resources, desk: Desk) -> Till:
    return Till(api, resources, desk.shop)


@pytest.fixture
async def people(resources: Resources, desk: Desk) -> list[str]:
    async with resources.db.tenant(desk.merchant_id) as session:
        return [await make_user(session, desk.merchant_id) for _ in range(2)]


@pytest.fixture
async def refused(till: Till, desk: Desk) -> str:
    """A refund of 20.00 yuan, of which the cashier's books know no payment."""
    checkout = await desk.open()
    await desk.hear(checkout)
    refund: str = (await till.refunded(checkout.id, 2_000))["id"]
    await turn(desk, refund)
    assert await payback(till, refund) == "refused"
    return refund


async def turn(desk: Desk, refund: str) -> None:
    async with desk.resources.db.system() as session:
        due = text("UPDATE refunds SET due_at = now() - interval '1 second' WHERE id = :id AND due_at IS NOT NULL")
        await session.execute(due, {"id": ids.decode("rfd", refund)})
    await worker.pay_back(desk.resources)


async def payback(till: Till, refund: str) -> str:
    return str((await till.get(f"/v1/refunds/{refund}"))["payback"])


async def ask(till: Till, refund: str, who: str, outcome: str = "paid_otherwise") -> httpx.Response:
    return await till.post(f"/v1/refunds/{refund}/decision", {"user_id": who, "outcome": outcome, **WHY})


async def confirm(till: Till, refund: str, who: str, outcome: str = "paid_otherwise") -> httpx.Response:
    return await till.post(f"/v1/refunds/{refund}/decision/confirm", {"user_id": who, "outcome": outcome})


def codes(*answers: httpx.Response) -> list[str]:
    return [answer.json().get("code", str(answer.status_code)) for answer in answers]


async def test_two_people_say_that_it_was_paid_otherwise(
    till: Till, desk: Desk, people: list[str], refused: str
) -> None:
    assert codes(await till.api.get(f"/v1/refunds/{refused}/decision")) == ["refund_decision_not_found"]
    asked = await ask(till, refused, people[0])
    assert (asked.status_code, asked.json()["object"], asked.json()["confirmed_by"]) == (201, "refund_decision", None)
    assert await payback(till, refused) == "refused"
    seen = await till.get(f"/v1/refunds/{refused}/decision")
    assert (seen["evidence"], seen["asked_by"]) == (WHY["evidence"], people[0])
    for _ in range(2):
        done = await confirm(till, refused, people[1])
        assert (done.status_code, done.json()["confirmed_by"]) == (200, people[1])
    shown = await till.get(f"/v1/refunds/{refused}")
    assert (shown["payback"], shown["paid_back_at"] is None) == ("paid_otherwise", False)
    await turn(desk, refused)
    assert await payback(till, refused) == "paid_otherwise"
    await till.check_books()
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        mine = select(AuditEntry.action, AuditEntry.actor).where(AuditEntry.subject_id == refused)
        rows = [tuple(row) for row in await session.execute(mine.order_by(AuditEntry.id))]
    assert rows == [("refund.decision_asked", people[0]), ("refund.decision_confirmed", people[1])]


async def test_tried_again_it_is_another_refund_with_the_provider(
    till: Till, desk: Desk, people: list[str], refused: str
) -> None:
    """A provider answers for ever what it has answered to a key that it has closed."""
    checkout_id = (await till.get(f"/v1/refunds/{refused}"))["order_id"]
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        terms: dict[str, Any] = {"key": payment_key(checkout_id), "amount_minor": 5_900, "currency": "CNY"}
        now = clock.utcnow()
        session.add(SandboxPayment(merchant_id=desk.merchant_id, **terms, status="paid", settles_at=now, refunds={}))
    await ask(till, refused, people[0], "try_again")
    assert (await confirm(till, refused, people[1], "try_again")).status_code == 200
    assert await payback(till, refused) == "due"
    await turn(desk, refused)
    assert await payback(till, refused) == "refunded"
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        books = await session.get_one(SandboxPayment, (desk.merchant_id, payment_key(checkout_id)))
    assert books.refunds == {f"{payment_key(refused)}r1": 2_000}
    assert codes(await ask(till, refused, people[0])) == ["refund_settled"]


async def test_one_person_is_not_two_and_the_outcome_is_the_one_asked_for(
    till: Till, desk: Desk, people: list[str], refused: str
) -> None:
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        operator = await make_user(session, desk.merchant_id, role="operator")
    assert codes(await confirm(till, refused, people[1])) == ["refund_decision_missing"]
    assert codes(await ask(till, refused, operator)) == ["role_not_allowed"]
    await ask(till, refused, people[0])
    assert codes(
        await confirm(till, refused, people[0]),
        await confirm(till, refused, operator),
        await confirm(till, refused, people[1], "try_again"),
    ) == ["asker_is_confirmer", "role_not_allowed", "refund_decision_differs"]
    assert await payback(till, refused) == "refused"


async def test_while_its_provider_may_still_carry_it_out_nobody_decides(
    till: Till, desk: Desk, people: list[str], refused: str
) -> None:
    for state in ("due", "processing", "unknown"):
        async with desk.resources.db.tenant(desk.merchant_id) as session:
            (await paying_back.hold(session, merchant_id=desk.merchant_id, refund_id=refused)).payback = state
        assert codes(await ask(till, refused, people[0])) == ["refund_not_for_people"], state
    await desk.advance(86_400)
    assert (await ask(till, refused, people[0])).status_code == 201


async def test_while_its_provider_is_asked_nothing_is_confirmed(
    till: Till, desk: Desk, people: list[str], refused: str
) -> None:
    """The answer, that it was paid, may be on its way."""
    await ask(till, refused, people[0])
    await desk.advance(3_600)
    async with desk.resources.db.system() as session:
        await paying_back.claim(session, limit=100, seconds=60)
    assert codes(await confirm(till, refused, people[1])) == ["refund_under_way"]
    assert await payback(till, refused) == "refused"


async def test_a_worker_that_came_late_overwrites_no_decision(
    till: Till, desk: Desk, people: list[str], refused: str
) -> None:
    await ask(till, refused, people[0])
    await desk.advance(3_600)
    async with desk.resources.db.system() as session:
        claims = await paying_back.claim(session, limit=100, seconds=0)
    (claim,) = [one for one in claims if one.row_id == refused]
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        late = await paying_back.prepare(session, claim)
    assert late
    await confirm(till, refused, people[1])
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        await paying_back.record(session, late, "unknown")
        assert await paying_back.prepare(session, claim) is None
    assert await payback(till, refused) == "paid_otherwise"


async def test_confirmed_twice_at_once_it_moves_once(till: Till, people: list[str], desk: Desk, refused: str) -> None:
    await ask(till, refused, people[0], "try_again")
    answers = await asyncio.gather(*(confirm(till, refused, people[1], "try_again") for _ in range(4)))
    assert codes(*answers) == ["200"] * 4
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        held = await paying_back.hold(session, merchant_id=desk.merchant_id, refund_id=refused)
    assert held.payback_round == 1


async def test_what_the_merchant_gives_back_itself_is_not_decided_here(till: Till, people: list[str]) -> None:
    order = await till.sell()
    refund = await till.refunded(order["id"], 1_000)
    assert codes(await ask(till, refund["id"], people[0])) == ["refund_settled"]


async def test_money_that_bought_nothing_has_a_way_out_too(till: Till, desk: Desk, people: list[str]) -> None:
    checkout = await desk.open()
    async with desk.resources.db.tenant(desk.merchant_id) as session:
        await session.execute(text("UPDATE campaigns SET stock = 0"))
        held = await session.get_one(Checkout, (desk.merchant_id, checkout.id))
        held.status, held.reserved = "expired", 0
    assert (await desk.hear(checkout)).status == "refund_due"
    (owed,) = (await till.get("/v1/refunds"))["data"]
    assert (owed["checkout_id"], owed["order_id"], owed["amount_minor"]) == (checkout.id, None, 5_900)
    await turn(desk, owed["id"])
    await ask(till, owed["id"], people[0])
    await confirm(till, owed["id"], people[1])
    assert (await till.get(f"/v1/checkouts/{checkout.id}"))["status"] == "refunded"


async def test_the_doctor_says_who_has_to_act(till: Till, desk: Desk, people: list[str], refused: str) -> None:
    async def advice() -> list[str]:
        async with desk.resources.db.tenant(desk.merchant_id) as session:
            later = clock.utcnow() + timedelta(minutes=61)
            found = await checkup.examine(session, merchant_id=desk.merchant_id, now=later)
        return [one.waits_for for one in found if one.subject_id == refused]

    (before,) = await advice()
    await ask(till, refused, people[0])
    (after,) = await advice()
    assert (before.endswith("then settle-refund"), "settle-refund --confirm" in after) == (True, True)
    await confirm(till, refused, people[1])
    assert await advice() == []
