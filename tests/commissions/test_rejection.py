"""A commission that is refused: nothing of it stands to anybody but the merchant, whatever happens at once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.campaigns import budget
from app.commissions.rules import Row, rejection
from app.commissions.service import reject, release_due
from app.kit import clock, ids
from app.models import AuditEntry, Campaign, OutboxEvent
from app.orders import refunds
from app.orders.rules import NewRefund
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.campaigns import TWO_LEVELS
from tests.factories.locks import until_blocked
from tests.factories.money import pay_out, sum_of_entries
from tests.factories.payables import make_user
from tests.factories.shops import Shop, Till, open_shop

FULFILLED = TWO_LEVELS.model_copy(update={"hold_from": "fulfilment"})


@pytest.fixture
async def pending(api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture) -> Till:
    """Holds begin with fulfilment."""
    return Till(api, resources, await open_shop(resources, merchant, commission=FULFILLED, budget_minor=100_000))


def first_of(order: dict[str, Any]) -> str:
    """The commission of level 1."""
    return str(order["commissions"][0]["id"])


async def refuse(till: Till, commission_id: str, **more: Any) -> httpx.Response:
    return await till.post(f"/v1/commissions/{commission_id}/reject", {"reason": "own account", **more})


async def refused(till: Till, commission_id: str) -> dict[str, Any]:
    answer = await refuse(till, commission_id)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def rows(till: Till, order_id: str, level: int = 1) -> list[tuple[int, str]]:
    found = await till.get(f"/v1/orders/{order_id}")
    return [(row["amount_minor"], row["status"]) for row in found["commissions"] if row["level"] == level]


async def buckets(till: Till) -> dict[str, int]:
    """Of the level 1, without the empty ones."""
    found = await till.get(f"/v1/members/{till.shop.first.member_id}/balance")
    return {name.removesuffix("_minor"): minor for name, minor in found.items() if name.endswith("_minor") and minor}


async def test_what_is_held_goes_back_to_the_merchant(till: Till, shop: Shop) -> None:
    order = await till.sell()
    async with till.resources.db.tenant(shop.merchant_id) as session:
        before = await sum_of_entries(session, shop.merchant_id, "merchant_proceeds")
    found = await refused(till, first_of(order))
    assert (found["status"], found["amount_minor"], found["reason"]) == ("rejected", 1_770, "own account")
    assert await rows(till, order["id"]) == [(1_770, "rejected"), (-1_770, "rejected")]
    assert await rows(till, order["id"], level=2) == [(590, "held")]
    assert await till.balance(shop.first) == (0, 0)
    async with till.resources.db.tenant(shop.merchant_id) as session:
        assert await sum_of_entries(session, shop.merchant_id, "merchant_proceeds") == before + 1_770
    await till.wait_days(8)
    assert await till.balance(shop.first) == (0, 0)
    await till.check_books()


async def test_it_is_written_down_and_told(till: Till, shop: Shop) -> None:
    order = await till.sell()
    async with till.resources.db.tenant(shop.merchant_id) as session:
        operator = await make_user(session, shop.merchant_id, "operator")
    assert (await refuse(till, first_of(order), user_id=operator)).status_code == 200
    async with till.resources.db.tenant(shop.merchant_id) as session:
        written = (await session.scalars(select(AuditEntry).where(AuditEntry.subject_id == first_of(order)))).one()
        told = select(OutboxEvent).where(OutboxEvent.type == "commission.rejected")
        event = (await session.scalars(told)).one()
    assert (written.action, written.actor, written.reason) == ("commission.rejected", operator, "own account")
    assert written.detail["amount_minor"] == -1_770
    assert (event.data["id"], event.data["status"], event.data["reason"]) == (
        first_of(order),
        "rejected",
        "own account",
    )


async def test_again_it_is_the_same(till: Till, shop: Shop) -> None:
    order = await till.sell()
    answers = await asyncio.gather(*(refuse(till, first_of(order)) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert await rows(till, order["id"]) == [(1_770, "rejected"), (-1_770, "rejected")]
    (negative,) = (await till.get(f"/v1/orders/{order['id']}"))["commissions"][2:]
    assert (await refuse(till, negative["id"])).json()["code"] == "commission_is_correction"
    await till.check_books()


async def test_what_waits_for_fulfilment_never_begins_its_hold_and_leaves_the_budget(pending: Till) -> None:
    order, shop = await pending.sell(), pending.shop
    await refused(pending, first_of(order))
    assert (await pending.post(f"/v1/orders/{order['id']}/fulfil", {})).status_code == 200
    assert await rows(pending, order["id"]) == [(1_770, "rejected"), (-1_770, "rejected")]
    assert await rows(pending, order["id"], level=2) == [(590, "held")]
    async with pending.resources.db.tenant(shop.merchant_id) as session:
        campaign = await session.get_one(Campaign, (shop.merchant_id, shop.campaign.id))
        assert budget.left(campaign) == 100_000 - 590
    await pending.check_books()


async def test_what_is_payable_can_be_refused_what_is_paid_cannot(till: Till, shop: Shop) -> None:
    order, other = await till.sell(), await till.sell()
    await till.wait_days(8)
    await refused(till, first_of(order))
    assert await till.balance(shop.first) == (0, 1_770)
    assert await pay_out(till.resources, shop.merchant_id, shop.first.member_id) == 1_770
    late = await refuse(till, first_of(other))
    assert (late.status_code, late.json()["code"]) == (409, "commission_paid")
    await till.check_books()


async def test_after_a_refund_the_rest_is_refused_and_later_refunds_take_nothing(till: Till, shop: Shop) -> None:
    order = await till.sell()
    await till.refunded(order["id"], 1_000)
    await refused(till, first_of(order))
    assert await rows(till, order["id"]) == [(1_770, "rejected"), (-300, "rejected"), (-1_470, "rejected")]
    await till.refunded(order["id"], 4_900)
    assert len(await rows(till, order["id"])) == 3
    assert await till.balance(shop.first) == (0, 0)
    await till.check_books()


async def test_what_was_refunded_wholly_or_takes_back_is_not_refused(till: Till, shop: Shop) -> None:
    whole, part = await till.sell(), await till.sell()
    await till.refunded(whole["id"], 5_900)
    await till.refunded(part["id"], 1_000)
    negative = (await till.get(f"/v1/orders/{part['id']}"))["commissions"][2]["id"]
    codes = [(await refuse(till, one)).json()["code"] for one in (first_of(whole), negative, ids.new("com"))]
    assert codes == ["commission_reversed", "commission_is_correction", "commission_not_found"]
    await till.check_books()


async def test_who_only_looks_or_pays_may_not_refuse(till: Till, shop: Shop) -> None:
    order = await till.sell()
    for role in ("viewer", "finance"):
        async with till.resources.db.tenant(shop.merchant_id) as session:
            user = await make_user(session, shop.merchant_id, role)
        answer = await refuse(till, first_of(order), user_id=user)
        assert (answer.status_code, answer.json()["code"]) == (403, "role_not_allowed")
    assert await till.balance(shop.first) == (1_770, 0)


async def pay_out_a_part_taken_back(till: Till) -> dict[str, Any]:
    """An order whose refund was netted in a payout, while its commission waits to be fulfilled."""
    paid = await till.sell()
    assert (await till.post(f"/v1/orders/{paid['id']}/fulfil", {})).status_code == 200
    await till.wait_days(8)
    waiting = await till.sell()
    await till.refunded(waiting["id"], 1_000)
    assert await pay_out(till.resources, till.shop.merchant_id, till.shop.first.member_id) == 1_770 - 300
    return waiting


@pytest.mark.parametrize("way", ["refund", "rejection"])
async def test_what_a_payout_was_short_of_comes_back_when_nothing_is_left_to_earn(pending: Till, way: str) -> None:
    """What waits might wait for ever: nobody fulfils an order that was refunded."""
    waiting = await pay_out_a_part_taken_back(pending)
    if way == "refund":
        await pending.refunded(waiting["id"], 4_900)
    else:
        await refused(pending, first_of(waiting))
        assert (await refused(pending, first_of(waiting)))["reason"] == "own account"
    assert await rows(pending, waiting["id"]) == [(1_770, "payable"), (-300, "paid"), (-1_470, "payable")]
    assert await buckets(pending) == {"payable": 300, "paid": 1_470}
    await pending.check_books()
    if way == "rejection":
        await pending.refunded(waiting["id"], 4_900)
        assert await buckets(pending) == {"payable": 300, "paid": 1_470}
        await pending.check_books()


async def test_a_rejection_waits_for_a_settlement_and_takes_what_is_payable(till: Till, shop: Shop) -> None:
    order = await till.sell()
    async with till.resources.db.tenant(shop.merchant_id) as session:
        later = clock.utcnow() + clock.days(8)
        assert await release_due(session, merchant_id=shop.merchant_id, now=later) == 2
        late = asyncio.create_task(refuse(till, first_of(order)))
        await until_blocked(till.resources, late)
        assert not late.done()
    assert (await late).json()["status"] == "rejected"
    assert await till.balance(shop.first) == (0, 0)
    await till.check_books()


async def test_a_settlement_passes_by_whom_a_rejection_is_at(till: Till, shop: Shop) -> None:
    order, later = await till.sell(), clock.utcnow() + clock.days(8)
    own: dict[str, Any] = {"merchant_id": shop.merchant_id}
    async with till.resources.db.tenant(shop.merchant_id) as session:
        await reject(session, **own, commission_id=first_of(order), reason="x", actor="key", now=clock.utcnow())
        async with asyncio.timeout(10), till.resources.db.tenant(shop.merchant_id) as other:
            assert await release_due(other, **own, now=later) == 1
    assert await till.balance(shop.first) == (0, 0)
    assert await till.balance(shop.second) == (0, 590)
    await till.check_books()


@pytest.mark.parametrize("first", ["refund", "rejection"])
async def test_a_refund_and_a_rejection_at_once_take_it_once(till: Till, shop: Shop, first: str) -> None:
    order = await till.sell()
    own: dict[str, Any] = {"merchant_id": shop.merchant_id, "now": clock.utcnow()}
    async with till.resources.db.tenant(shop.merchant_id) as session:
        if first == "refund":
            await refunds.refund_order(session, **own, order_id=order["id"], refund=NewRefund(ids.new("ext"), 2_000))
            late = asyncio.create_task(refuse(till, first_of(order)))
        else:
            await reject(session, **own, commission_id=first_of(order), reason="x", actor="key")
            late = asyncio.create_task(till.refund(order["id"], 2_000))
        await until_blocked(till.resources, late)
        assert not late.done()
    assert (await late).status_code in (200, 201)
    assert sum(amount for amount, _ in await rows(till, order["id"])) == 0
    assert {status for _, status in await rows(till, order["id"])} == {"rejected"}
    assert await till.balance(shop.first) == (0, 0)
    await till.check_books()


async def test_everything_at_once_keeps_the_books(pending: Till) -> None:
    orders = [await pending.sell() for _ in range(6)]
    work = [refuse(pending, first_of(order)) for order in orders]
    work += [pending.refund(order["id"], part) for order in orders for part in (700, 1_300)]
    work += [pending.post(f"/v1/orders/{order['id']}/fulfil", {}) for order in orders]
    clocks = [pending.api.post("/v1/test-clock", json={"advance_seconds": 300_000}) for _ in range(3)]
    payouts = [pay_out(pending.resources, pending.shop.merchant_id, pending.shop.first.member_id) for _ in range(2)]
    answers, _ = await asyncio.gather(asyncio.gather(*work, *clocks), asyncio.gather(*payouts))
    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    await pending.check_books()


@pytest.mark.parametrize(
    ("given", "amount", "moves"),
    [
        ([Row(100, "pending")], -100, {"pending": -100}),
        ([Row(100, "held"), Row(-40, "payable")], -60, {"held": -100, "payable": 40}),
        ([Row(100, "held"), Row(-40, "paid")], -60, {"held": -100, "payable": 40}),
        ([Row(100, "payable"), Row(-40, "in_payout")], -60, {"payable": -60}),
    ],
)
def test_whatever_moves_is_what_refunds_have_left(given: list[Row], amount: int, moves: dict[str, int]) -> None:
    found = rejection(given)
    assert found is not None
    assert (found.amount_minor, found.moves) == (amount, moves)
    assert found.closes == all(row.status not in ("paid", "in_payout") for row in given)
    assert found.releases == (given[0].status == "held" and not found.closes)


def test_of_nothing_nothing_is_left() -> None:
    assert rejection([Row(100, "payable"), Row(-100, "paid")]) is None
