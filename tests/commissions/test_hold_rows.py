"""What is held stands in a table of its own, by the database's hand: a settlement looks there, and nowhere else."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import ProgrammingError

from app import embedded
from app.commissions.service import release_due
from app.kit import clock, ids
from app.ledger.verify import verify
from app.models import Commission, CommissionHold
from app.resources import Resources
from tests.factories import make_merchant
from tests.factories.payables import make_commission
from tests.factories.shops import Shop, Till, open_shop


async def holds(resources: Resources, shop: Shop) -> list[str]:
    """Of which commissions, the first that ends first."""
    async with resources.db.tenant(shop.merchant_id) as session:
        in_order = select(CommissionHold.commission_id).order_by(CommissionHold.hold_until)
        return list((await session.scalars(in_order)).all())


async def test_a_hold_stands_as_long_as_its_commission_is_held(till: Till, shop: Shop, resources: Resources) -> None:
    order = await till.sell()
    assert set(await holds(resources, shop)) == {row["id"] for row in order["commissions"]}
    await till.wait_days(7)
    assert await holds(resources, shop) == []
    assert {row["status"] for row in (await till.get("/v1/commissions"))["data"]} == {"payable"}


async def test_what_is_refunded_in_full_is_held_no_more(till: Till, shop: Shop, resources: Resources) -> None:
    order = await till.sell()
    await till.refunded(order["id"], 900)
    assert len(await holds(resources, shop)) == 2
    await till.refunded(order["id"], 5_000)
    assert await holds(resources, shop) == []


async def test_a_hold_that_moves_is_found_at_its_new_end_only(shop: Shop, resources: Resources) -> None:
    now = clock.utcnow()
    async with resources.db.tenant(shop.merchant_id) as session:
        row = await make_commission(session, shop.first, 500, status="pending")
    assert await holds(resources, shop) == []
    for status, end in (("held", now), ("held", now + clock.days(1)), ("held", None)):
        async with resources.db.tenant(shop.merchant_id) as session:
            known = await session.get_one(Commission, (shop.merchant_id, row.id))
            known.status, known.hold_until = status, end
        async with resources.db.tenant(shop.merchant_id) as session:
            assert list(await session.scalars(select(CommissionHold.hold_until))) == ([end] if end else [])


async def test_a_commission_without_its_hold_is_named(shop: Shop, resources: Resources, stack: embedded.Stack) -> None:
    async with resources.db.tenant(shop.merchant_id) as session:
        row = await make_commission(session, shop.first, 500, status="held", hold_until=clock.utcnow())
    owner = await asyncpg.connect(stack.owner_url)
    gone = await owner.execute(
        "DELETE FROM commission_holds WHERE merchant_id = $1", ids.decode("mch", shop.merchant_id)
    )
    await owner.close()
    assert gone == "DELETE 1"
    async with resources.db.tenant(shop.merchant_id) as session:
        (found,) = (await verify(session, merchant_id=shop.merchant_id)).differences
    assert (found.check, found.subject) == ("held_commission_has_the_end_of_its_hold", row.id)


async def test_no_other_merchants_hold_is_released(shop: Shop, resources: Resources) -> None:
    other = await open_shop(resources, await make_merchant(resources))
    now = clock.utcnow()
    for one in (shop, other):
        async with resources.db.tenant(one.merchant_id) as session:
            await make_commission(session, one.first, 500, status="held", hold_until=now)
    async with resources.db.tenant(shop.merchant_id) as session:
        assert await release_due(session, merchant_id=shop.merchant_id, now=now) == 1
        assert await release_due(session, merchant_id=other.merchant_id, now=now) == 0
    assert len(await holds(resources, other)) == 1


async def test_the_runtime_writes_no_holds(shop: Shop, resources: Resources) -> None:
    for statement in (
        "INSERT INTO commission_holds SELECT merchant_id, now(), id, member_id, currency FROM commissions",
        "UPDATE commission_holds SET hold_until = now()",
    ):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with resources.db.tenant(shop.merchant_id) as session:
                await session.execute(text(statement))


async def test_a_settlement_writes_no_index_of_commissions(till: Till, shop: Shop, resources: Resources) -> None:
    """Where any index reads the status, all of them get a new entry for each row."""
    async with resources.db.system() as session:
        indexes = text("SELECT indexdef FROM pg_indexes WHERE tablename = 'commissions'")
        assert [index for index in await session.scalars(indexes) if "status" in index] == []
        options = text("SELECT reloptions FROM pg_class WHERE oid = 'commissions'::regclass")
        assert await session.scalar(options) == ["fillfactor=50"]
    for _ in range(3):
        await till.sell()
    written = text(
        "SELECT n_tup_upd, n_tup_upd - n_tup_hot_upd FROM pg_stat_xact_user_tables"
        " WHERE relid = 'commissions'::regclass"
    )
    async with resources.db.tenant(shop.merchant_id) as session:
        end = await session.scalar(select(func.max(CommissionHold.hold_until)))
        assert end is not None
        rows, with_indexes = (await session.execute(written)).one()
        assert await release_due(session, merchant_id=shop.merchant_id, now=end) == 6
        assert tuple((await session.execute(written)).one()) == (rows + 6, with_indexes)
