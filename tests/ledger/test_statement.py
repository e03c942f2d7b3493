from __future__ import annotations

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.pages import PageQuery
from app.kit import ids
from app.kit.errors import BadRequest
from app.ledger.service import Leg
from app.ledger.statement import statement
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.money import earned, move, pay_out
from tests.factories.payables import make_payable


async def test_each_entry_shows_the_balance_it_left_behind(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    member, own = ids.new("mbr"), merchant.test_id
    await move(tenant, own, *earned(member, 300), reference="first")
    await move(tenant, own, *earned(ids.new("mbr"), 999))
    await move(tenant, own, *earned(member, 200), reference="second")
    await move(tenant, own, Leg("member_held", member, -300), Leg("member_payable", member, 300), reference="third")
    page = await statement(tenant, merchant_id=own, member_id=member, query=PageQuery())
    shown = [(line.reference, line.bucket, line.amount_minor, line.balance_minor) for line in page.rows]
    assert sorted(shown[:2]) == [("third", "held", -300, 200), ("third", "payable", 300, 300)]
    assert shown[2:] == [("second", "held", 200, 500), ("first", "held", 300, 300)]


async def test_pages_follow_each_other_without_gap_or_repeat(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    member, own = ids.new("mbr"), merchant.test_id
    for number in range(5):
        await move(tenant, own, *earned(member, 10), reference=str(number))
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        query = PageQuery(limit=2, cursor=cursor)
        page = await statement(tenant, merchant_id=own, member_id=member, query=query)
        seen += [f"{line.reference}:{line.balance_minor}" for line in page.rows]
        cursor = page.next_cursor
    assert seen == ["4:50", "3:40", "2:30", "1:20", "0:10"]
    assert cursor is None


async def test_a_period_shows_the_balances_of_its_time(resources: Resources, merchant: MerchantFixture) -> None:
    member, own = ids.new("mbr"), merchant.test_id
    for reference in ("first", "second", "third"):
        async with resources.db.tenant(own) as session:
            await move(session, own, *earned(member, 100), reference=reference)
    async with resources.db.tenant(own) as session:
        whole = (await statement(session, merchant_id=own, member_id=member, query=PageQuery())).rows
        middle = PageQuery(created_from=whole[1].created_at, created_before=whole[0].created_at)
        part = (await statement(session, merchant_id=own, member_id=member, query=middle)).rows
    assert [line.balance_minor for line in whole] == [300, 200, 100]
    assert part == [whole[1]]


async def test_a_made_up_cursor_is_refused(tenant: AsyncSession, merchant: MerchantFixture) -> None:
    query = PageQuery(cursor=ids.new("ord"))
    with pytest.raises(BadRequest, match="cursor_invalid"):
        await statement(tenant, merchant_id=merchant.test_id, member_id=ids.new("mbr"), query=query)


async def test_what_was_paid_is_on_the_statement(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        promoter = await make_payable(session, merchant.test_id, 700)
    await pay_out(resources, merchant.test_id, promoter.member_id)
    answer = await api.get(f"/v1/members/{promoter.member_id}/statement")
    assert answer.status_code == 200, answer.text
    shown = [(row["bucket"], row["amount_minor"]) for row in answer.json()["data"]]
    assert [amount for bucket, amount in shown if bucket == "paid"] == [700]
    assert len(shown) == 5
