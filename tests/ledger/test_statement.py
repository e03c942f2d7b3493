from __future__ import annotations

import csv
import io
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.pages import PageQuery
from app.kit import ids
from app.kit.errors import BadRequest
from app.ledger.service import Leg
from app.ledger.statement import Edge, statement, whole
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
    page = (await statement(tenant, merchant_id=own, member_id=member, query=PageQuery())).page
    shown = [(line.reference, line.account, line.amount_minor, line.balance_minor) for line in page.rows]
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
        page = (await statement(tenant, merchant_id=own, member_id=member, query=query)).page
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
        whole = (await statement(session, merchant_id=own, member_id=member, query=PageQuery())).page.rows
        middle = PageQuery(created_from=whole[1].created_at, created_before=whole[0].created_at)
        part = (await statement(session, merchant_id=own, member_id=member, query=middle)).page.rows
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


async def test_a_statement_stands_between_its_balances(resources: Resources, merchant: MerchantFixture) -> None:
    member, own = ids.new("mbr"), merchant.test_id
    for amount in (100, 30, 7):
        async with resources.db.tenant(own) as session:
            await move(session, own, *earned(member, amount))
    async with resources.db.tenant(own) as session:
        lines, edges = await whole(session, merchant_id=own, member_id=member, created_from=None, created_before=None)
        held = next(edge for edge in edges if edge.account == "held")
        bounds: dict[str, Any] = {"created_from": lines[1].created_at, "created_before": lines[2].created_at}
        middle, then = await whole(session, merchant_id=own, member_id=member, **bounds)
    assert ([line.balance_minor for line in lines], held) == ([100, 130, 137], Edge("held", "CNY", 0, 137))
    assert (middle, [edge for edge in then if edge.account == "held"]) == ([lines[1]], [Edge("held", "CNY", 100, 130)])


def deposit(amount_minor: int) -> tuple[Leg, Leg]:
    return Leg("merchant_deposits", None, -amount_minor), Leg("merchant_funds", None, amount_minor)


async def test_a_merchant_sees_accounts_of_its_own_and_nobody_elses(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    own = merchant.test_id
    async with resources.db.tenant(own) as session:
        for amount in (300, 50):
            await move(session, own, *deposit(amount), reference=str(amount))
    async with resources.db.tenant(merchant.live_id) as session:
        await move(session, merchant.live_id, *deposit(999))
    found = (await api.get("/v1/merchant/statement")).json()
    shown = [(row["reference"], row["account"], row["amount_minor"], row["balance_minor"]) for row in found["data"]]
    assert sorted(shown[:2]) == [("50", "merchant_deposits", -50, -350), ("50", "merchant_funds", 50, 350)]
    assert sorted(shown[2:]) == [("300", "merchant_deposits", -300, -300), ("300", "merchant_funds", 300, 300)]
    funds = [each for each in found["accounts"] if each["account"] == "merchant_funds"]
    assert [(each["opening_minor"], each["closing_minor"]) for each in funds] == [(0, 350)]


@pytest.mark.parametrize("asked", ["query", "header"])
async def test_pages_of_csv_read_as_one_statement(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, asked: str
) -> None:
    own = merchant.test_id
    async with resources.db.tenant(own) as session:
        promoter = await make_payable(session, own, 700)
    await pay_out(resources, own, promoter.member_id)
    url: str | None = f"/v1/members/{promoter.member_id}/statement?limit=3" + (
        "&format=csv" if asked == "query" else ""
    )
    headers = {} if asked == "query" else {"Accept": "text/csv"}
    rows: list[dict[str, str]] = []
    while url is not None:
        answer = await api.get(url, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
        rows += csv.DictReader(io.StringIO(answer.text))
        url = answer.links["next"]["url"] if answer.links else None
    kinds = [row["kind"] for row in rows]
    assert (kinds.count("closing_balance"), kinds.count("opening_balance"), len(rows)) == (5, 5, 15)
    assert (kinds[:5], kinds[-5:]) == (["closing_balance"] * 5, ["opening_balance"] * 5)
    balance = (await api.get(f"/v1/members/{promoter.member_id}/balance")).json()
    closing = {row["account"]: row["balance"] for row in rows[:5]}
    assert closing == {name: f"{balance[f'{name}_minor'] / 100:.2f}" for name in closing}
    assert closing["paid"] == "7.00"
