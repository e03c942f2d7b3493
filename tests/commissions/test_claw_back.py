from __future__ import annotations

import pytest
from sqlalchemy import update
from sqlalchemy.exc import ProgrammingError

from app.kit import clock
from app.models import Commission
from app.payouts import moves
from app.payouts.moves import Wish
from app.payouts.rules import Terms
from tests.factories.payables import make_payee
from tests.factories.shops import Shop, Till


async def test_what_was_refunded_during_a_payout_is_closed_when_the_payout_fails(till: Till, shop: Shop) -> None:
    kept, returned = await till.sell(), await till.sell()
    await till.wait_days(8)
    own, now, member = shop.merchant_id, clock.utcnow(), shop.first.member_id
    async with till.resources.db.tenant(shop.merchant_id) as session:
        wish = Wish(member, (await make_payee(session, own, member)).id)
        (withdrawal,) = await moves.take(
            session, merchant_id=own, wishes=[wish], currency="CNY", terms=Terms(), now=now
        )
    await till.refunded(returned["id"], 5_900)
    during = await till.get("/v1/commissions", beneficiary_id=shop.first.id)
    assert [(row["amount_minor"], row["status"]) for row in during["data"]] == [
        (-1_770, "payable"),
        (1_770, "in_payout"),
        (1_770, "in_payout"),
    ]
    await till.check_books()
    async with till.resources.db.tenant(shop.merchant_id) as session:
        again = [await session.merge(withdrawal)]
        await moves.give_back(session, merchant_id=own, withdrawals=again, status="failed", now=now)
    after = await till.get("/v1/commissions", beneficiary_id=shop.first.id)
    assert [(row["order_id"] == kept["id"], row["status"]) for row in after["data"]] == [
        (False, "reversed"),
        (False, "reversed"),
        (True, "payable"),
    ]
    assert await till.balance(shop.first) == (0, 1_770)
    await till.check_books()


@pytest.mark.parametrize("change", [{"amount_minor": 1}, {"member_id": None}, {"reverses_id": None}, {"level": 2}])
async def test_nothing_but_where_it_stands_changes_of_a_commission(
    till: Till, shop: Shop, change: dict[str, int | None]
) -> None:
    await till.sell()
    for transaction in (till.resources.db.tenant(shop.merchant_id), till.resources.db.system()):
        async with transaction as session:
            with pytest.raises(ProgrammingError, match="permission denied"):
                await session.execute(update(Commission).values(change))
            await session.rollback()
