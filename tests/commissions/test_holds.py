from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from app import embedded
from app.commissions import queries
from app.commissions.holds import UNTOLD, release_all_due, release_due, release_next
from app.kit import clock, ids
from app.ledger import service as ledger
from app.ledger.queries import balance
from app.models import Commission, LedgerTransaction, Merchant, OutboxEvent
from app.resources import Resources
from app.worker.commissions import release_holds
from tests.factories import make_merchant
from tests.factories.locks import until_blocked
from tests.factories.payables import make_commission, no_release_for
from tests.factories.shops import Shop, Till, open_shop


async def release(resources: Resources, shop: Shop, now: datetime, *, limit: int = UNTOLD) -> int:
    async with resources.db.tenant(shop.merchant_id) as session:
        return await release_due(session, merchant_id=shop.merchant_id, now=now, limit=limit)


async def release_all(resources: Resources, shop: Shop, now: datetime) -> int:
    async with resources.db.tenant(shop.merchant_id) as session:
        return await release_all_due(session, merchant_id=shop.merchant_id, now=now)


async def release_in_turn(resources: Resources, shop: Shop, now: datetime) -> int:
    async with resources.db.tenant(shop.merchant_id) as session:
        return await release_next(session, merchant_id=shop.merchant_id, now=now)


async def hold_end(resources: Resources, shop: Shop) -> datetime:
    async with resources.db.tenant(shop.merchant_id) as session:
        found = await session.scalar(select(func.max(Commission.hold_until)))
    assert found is not None
    return found


async def listen(till: Till) -> None:
    """Nobody is told what nobody listens for."""
    endpoint = {"url": "https://hooks.example.com/x", "types": ["commission.payable"]}
    assert (await till.api.post("/v1/webhook-endpoints", json=endpoint)).status_code == 201


async def test_a_commission_is_held_to_the_second(till: Till, shop: Shop, resources: Resources) -> None:
    order = await till.sell()
    end = await hold_end(resources, shop)
    assert end == datetime.fromisoformat(order["paid_at"]) + clock.days(7)
    assert await release(resources, shop, end - timedelta(seconds=1)) == 0
    assert await release(resources, shop, end) == 2
    assert await release(resources, shop, end) == 0
    assert await till.balance(shop.first) == (0, 1_770)
    await till.check_books()


async def test_the_test_clock_takes_effect_at_once(till: Till, shop: Shop) -> None:
    await till.sell()
    await till.wait_days(6)
    assert await till.balance(shop.first) == (1_770, 0)
    await till.wait_days(1)
    assert await till.balance(shop.first) == (0, 1_770)
    found = await till.get("/v1/commissions", status="payable")
    assert [row["level"] for row in found["data"]] == [2, 1]


async def test_batches_are_bounded(till: Till, shop: Shop, resources: Resources) -> None:
    for _ in range(3):
        await till.sell()
    end = await hold_end(resources, shop)
    assert [await release(resources, shop, end, limit=4) for _ in range(3)] == [4, 2, 0]
    await till.check_books()


async def test_the_worker_goes_by_each_merchants_own_clock(till: Till, shop: Shop, resources: Resources) -> None:
    await till.sell()
    await release_holds(resources)
    assert await till.balance(shop.first) == (1_770, 0)
    async with resources.db.system() as session:
        ahead = update(Merchant).where(Merchant.id == shop.merchant_id)
        await session.execute(ahead.values(clock_offset_seconds=8 * clock.DAY_SECONDS))
        due = dict(await queries.due_merchants(session, now=clock.utcnow(), limit=1_000))
    assert due[shop.merchant_id] > clock.utcnow() + clock.days(7)
    while await release_holds(resources):
        pass
    assert await till.balance(shop.first) == (0, 1_770)
    await till.check_books()


async def test_a_member_that_somebody_is_busy_with_is_left_for_the_next_run(
    till: Till, shop: Shop, resources: Resources
) -> None:
    await till.sell()
    end = await hold_end(resources, shop)
    async with resources.db.tenant(shop.merchant_id) as busy:
        await ledger.lock(busy, merchant_id=shop.merchant_id, currency="CNY", member_ids=[shop.first.member_id])
        async with asyncio.timeout(5):
            assert await release(resources, shop, end) == 1
    assert await till.balance(shop.second) == (0, 590)
    assert await till.balance(shop.first) == (1_770, 0)
    assert await release(resources, shop, end) == 1
    await till.check_books()


async def test_many_workers_release_each_commission_once(till: Till, shop: Shop, resources: Resources) -> None:
    for _ in range(5):
        await till.sell()
    end = await hold_end(resources, shop)
    await listen(till)
    ways = (release, release_all, release_in_turn)
    await asyncio.gather(*(ways[number % 3](resources, shop, end) for number in range(8)))
    assert await till.balance(shop.first) == (0, 5 * 1_770)
    async with resources.db.tenant(shop.merchant_id) as session:
        told = select(func.count()).select_from(OutboxEvent).where(OutboxEvent.type == "commission.payable")
        assert await session.scalar(told) == 10
    await till.check_books()


async def test_a_refund_waits_for_a_release_that_is_under_way(till: Till, shop: Shop, resources: Resources) -> None:
    """Else it would take the money from the bucket that the release has just emptied."""
    order = await till.sell()
    end = await hold_end(resources, shop)
    async with resources.db.tenant(shop.merchant_id) as session:
        assert await release_due(session, merchant_id=shop.merchant_id, now=end) == 2
        refund = asyncio.create_task(till.refunded(order["id"], 5_900))
        await until_blocked(resources, refund)
    assert (await refund)["status"] == "applied"
    assert await till.balance(shop.first) == (0, 0)
    await till.check_books()


async def test_a_merchant_that_cannot_be_released_holds_up_no_other(
    shop: Shop, resources: Resources, stack: embedded.Stack
) -> None:
    later = await open_shop(resources, await make_merchant(resources))
    for one in (shop, later):
        async with resources.db.tenant(one.merchant_id) as session:
            await make_commission(session, one.first, 500, status="held", hold_until=clock.utcnow())

    async def payable(one: Shop) -> int:
        async with resources.db.tenant(one.merchant_id) as session:
            return (await balance(session, merchant_id=one.merchant_id, member_id=one.first.member_id)).payable_minor

    async with no_release_for(stack, shop.first.member_id):
        while await release_holds(resources):
            pass
        assert [await payable(shop), await payable(later)] == [0, 500]
    while await release_holds(resources):
        pass
    assert await payable(shop) == 500


async def test_a_release_is_one_movement_however_many_members(till: Till, shop: Shop, resources: Resources) -> None:
    await till.sell()
    await till.sell()
    await release(resources, shop, await hold_end(resources, shop))
    async with resources.db.tenant(shop.merchant_id) as session:
        moved = select(func.count()).where(LedgerTransaction.kind == "commission_released")
        assert await session.scalar(moved) == 1


async def test_commissions_are_listed_by_filter(till: Till, shop: Shop) -> None:
    order = await till.sell()
    await till.sell(participant_id=shop.first.id)
    by_order = await till.get("/v1/commissions", order_id=order["id"])
    assert [row["id"] for row in by_order["data"]] == [row["id"] for row in order["commissions"]][::-1]
    by_member = await till.get("/v1/commissions", member_id=shop.first.member_id)
    assert [row["amount_minor"] for row in by_member["data"]] == [1_770]
    own = await till.get(f"/v1/participants/{shop.second.id}/commissions")
    assert [row["level"] for row in own["data"]] == [1, 2]
    assert own == await till.get("/v1/commissions", beneficiary_id=shop.second.id)
    assert (await till.get("/v1/commissions", status="paid"))["data"] == []
    malformed = await till.api.get("/v1/commissions", params={"order_id": "ord_x"})
    assert (malformed.status_code, malformed.json()["code"]) == (422, "validation_failed")


async def test_balances_and_statements_of_a_member(till: Till, shop: Shop) -> None:
    order = await till.sell()
    await till.refunded(order["id"], 590)
    balance = await till.get(f"/v1/participants/{shop.first.id}/balance")
    assert balance == await till.get(f"/v1/members/{shop.first.member_id}/balance")
    assert (balance["held_minor"], balance["payable_minor"], balance["paid_minor"]) == (1_770, -177, 0)
    entries = (await till.get(f"/v1/members/{shop.first.member_id}/statement"))["data"]
    assert [(row["kind"], row["bucket"], row["amount_minor"], row["balance_minor"]) for row in entries] == [
        ("commission_reversed", "payable", -177, -177),
        ("commission_earned", "held", 1_770, 1_770),
    ]
    assert entries[1]["reference"] == order["id"]
    for path in ("balance", "statement"):
        missing = await till.api.get(f"/v1/members/{ids.new('mbr')}/{path}")
        assert (missing.status_code, missing.json()["code"]) == (404, "member_not_found")
