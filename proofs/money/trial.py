"""`python -m proofs.money.trial NAME`: a small proof about money on the servers of the environment; 1 where it fails.

It runs in a process into which bugs were put: what it calls is the application with them.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

from app.kit import clock, ids
from app.kit.errors import InvitreeError
from app.resources import Resources, open_resources
from app.settings import Settings
from proofs import commission_split, refund_order
from proofs.money import checks
from proofs.money.desk import Desk, open_desk
from tests.factories import make_merchant
from tests.factories.campaigns import TWO_LEVELS
from tests.factories.rails import open_counter

ROUNDS = 3
AT_ONCE = 4


async def split(resources: Resources) -> list[str]:
    score = commission_split.play(commission_split.SEED, 200)
    return [*score.faults, *(fault for fault in await commission_split.store_all(resources, 3) if fault)]


async def told(resources: Resources) -> list[str]:
    """The first event told again as soon as it is there, then all of them in the other order."""
    kind, usual = refund_order.KINDS[0], refund_order.Usual()
    events = kind.events()
    found = []
    for order in ([*events, *events], [*reversed(events), *events]):
        found += await refund_order.compare(resources, kind, order, Counter(), usual)
    return found


async def rivals(resources: Resources) -> list[str]:
    """Holds end while their orders are refunded, again and again; whoever dies of the other has failed, too."""
    desk = await _old_desk(resources)
    for _ in range(ROUNDS):
        names = await _sell(desk, paid_days_ago=6)
        desk.pass_days(1.5)
        refunds = [desk.refund(name, ids.new("ext"), 5_900) for name in names]
        await asyncio.gather(*refunds, desk.release(), desk.release())
    return await checks.faults(resources, desk.merchant_id)


async def withdrawals(resources: Resources) -> list[str]:
    """Whoever comes second is refused; what the first one takes is refunded meanwhile."""
    desk = await _old_desk(resources)
    member, found = desk.shop.first.member_id, list[str]()

    async def withdraw() -> str:
        try:
            return (await desk.withdraw(member)).id
        except InvitreeError:
            return ""

    for _ in range(ROUNDS):
        names = await _sell(desk, paid_days_ago=8)
        asking = [withdraw() for _ in range(AT_ONCE)]
        made, _ = await asyncio.gather(
            asyncio.gather(*asking), asyncio.gather(*(desk.refund(name, ids.new("ext"), 100) for name in names))
        )
        found += [f"{sum(map(bool, made))} withdrawals at once"] if sum(map(bool, made)) != 1 else []
        found += await checks.faults(resources, desk.merchant_id)
        await desk.cancel_withdrawal(next(filter(None, made)))
    return found


async def payouts(resources: Resources) -> list[str]:
    counter = await open_counter(resources, (await make_merchant(resources)).test_id)
    await counter.misbehave(times_out_bps=10_000)
    amounts = [1_000, 2_000, 3_000]
    await counter.sent(*amounts)
    await counter.carry(5)
    paid = sorted(each.amount_minor for each in await counter.transfers())
    return [] if paid == amounts else [f"transferred {paid} instead of {amounts}"]


async def results(resources: Resources) -> list[str]:
    desk = await _old_desk(resources)
    await _sell(desk, paid_days_ago=8)
    batch = await desk.build()
    await desk.approve(batch.id)
    await desk.export(batch.id)
    payouts_ = [each.id for each in await desk.payouts(batch.id)]
    await desk.report(batch.id, dict.fromkeys(payouts_, "paid"))
    again = await desk.report(batch.id, dict.fromkeys(payouts_, "failed"))
    said = [f"{again.failed} that were paid have failed"] if again.failed else []
    return said + await checks.faults(resources, desk.merchant_id)


async def held(resources: Resources) -> list[str]:
    """A hold of a week, and goods that may come back for two."""
    rule = TWO_LEVELS.model_copy(update={"hold_days": 7, "refund_window_days": 14})
    desk = await open_desk(resources, commission=rule)
    await desk.sell("order", {"1": 5_900})
    found = []
    for days, wanted in ((8, 0), (7, 2)):
        desk.pass_days(days)
        released = await desk.release()
        found += [] if released == wanted else [f"{released} were released instead of {wanted}"]
    return found


async def _old_desk(resources: Resources) -> Desk:
    return await open_desk(resources, starts_at=clock.utcnow() - timedelta(days=30))


async def _sell(desk: Desk, *, paid_days_ago: float) -> list[str]:
    names = [ids.new("ext") for _ in range(AT_ONCE)]
    for name in names:
        await desk.sell(name, {"1": 5_900}, paid_at=desk.now - timedelta(days=paid_days_ago))
    return names


SMALL: dict[str, Callable[[Resources], Awaitable[list[str]]]] = {
    small.__name__: small for small in (split, told, rivals, withdrawals, payouts, results, held)
}


async def main(name: str) -> int:
    async with open_resources(Settings()) as resources:
        found = await SMALL[name](resources)
    for fault in found[:3]:
        print(fault[:300])
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
