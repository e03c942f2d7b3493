from __future__ import annotations

from app.ledger.service import Leg
from app.resources import Resources
from proofs.money import checks
from proofs.money.desk import open_desk
from tests.factories.money import move


async def test_what_is_booked_wrongly_is_named_and_nothing_else(resources: Resources) -> None:
    desk = await open_desk(resources)
    await desk.sell("order", {"1": 5_900})
    await desk.refund("order", "refund", 1_000)
    await desk.reject("order", "1", 2)
    assert await checks.faults(resources, desk.merchant_id) == []
    async with resources.db.tenant(desk.merchant_id) as session:
        await move(session, desk.merchant_id, Leg("merchant_proceeds", None, -1), Leg("payout_fees", None, 1))
    found = await checks.faults(resources, desk.merchant_id)
    ours = [fault for fault in found if not fault.startswith("ledger verify: ")]
    assert ours == [
        "places of the merchant's money beside its orders: (payout_fees,0,1)",
        "places of the merchant's money beside its orders: (merchant_proceeds,3381,3380)",
    ]
    assert len(found) == 4
