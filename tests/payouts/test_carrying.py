"""Payouts at a provider that times out, rejects, waits and confirms late; each transfer happens once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.outbox import OutboxEvent
from app.kit import clock
from app.kit.errors import Conflict
from app.models import Commission, Payout, Withdrawal
from app.payouts import carrying, exports, results, sending, service, withdrawals
from app.payouts.locks import lock_batches
from app.payouts.rails.protocol import Answer
from app.payouts.result_file import parse
from app.resources import Resources
from app.worker import payouts as worker
from tests.factories import MerchantFixture
from tests.factories.locks import until_blocked
from tests.factories.payables import make_payable
from tests.factories.rails import Counter, open_counter

ALWAYS = 10_000


@pytest.fixture
async def counter(resources: Resources, merchant: MerchantFixture) -> Counter:
    async with resources.db.system() as session:
        await session.execute(text("UPDATE payouts SET due_at = NULL"))  # of tests before this one
    return await open_counter(resources, merchant.test_id)


async def seen(counter: Counter) -> tuple[list[str], ...]:
    """The statuses of payouts, withdrawals and commissions, and the events of payouts."""
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        statuses = [
            list((await session.scalars(select(model.status).order_by(model.id))).all())
            for model in (Withdrawal, Commission)
        ]
        types = await session.scalars(select(OutboxEvent.type).where(OutboxEvent.type.startswith("payout.")))
        return [each.status for each in await counter.payouts()], *statuses, sorted(types.all())


async def claims(session: AsyncSession, counter: Counter, limit: int = 99) -> list[carrying.Claim]:
    found = await carrying.claim(session, limit=limit, seconds=60)
    mine = [taken for taken in found if taken.merchant_id == counter.merchant_id]
    return [claim for taken in mine if (claim := await carrying.unseal(session, taken))]


async def test_a_batch_is_sent_carried_out_and_settled(counter: Counter) -> None:
    batch = await counter.sent(700, 250)
    assert (batch.status, batch.channel, [each.status for each in await counter.payouts()]) == (
        "sent",
        "wechat",
        ["created", "created"],
    )
    await counter.carry()
    assert await seen(counter) == (["paid"] * 2, ["paid"] * 2, ["paid"] * 2, ["payout.paid"] * 2)
    assert [(each.amount_minor, each.asked_again) for each in await counter.transfers()] == [(700, 0), (250, 0)]
    assert (await counter.batch(batch.id)).status == "settled"
    assert await counter.differences() == []
    assert all(each.external_id and each.paid_at for each in await counter.payouts())


async def test_sent_again_it_is_the_same_batch(counter: Counter) -> None:
    batch = await counter.sent(700)
    assert (await counter.send(batch.id)).sent_at == batch.sent_at
    await counter.carry(2)
    assert (await counter.send(batch.id)).status == "settled"
    assert len(await counter.transfers()) == 1


async def test_what_was_carried_out_without_an_answer_is_asked_after_and_never_sent_again(counter: Counter) -> None:
    await counter.misbehave(times_out_bps=ALWAYS)
    await counter.sent(700)
    await counter.carry()
    (payout,) = await counter.payouts()
    assert (payout.status, payout.reason, payout.leased_until) == ("unknown", "no answer: ReadTimeout", None)
    await counter.carry()
    (transfer,) = await counter.transfers()
    assert (transfer.asked_again, (await counter.payouts())[0].status) == (0, "paid")


async def test_a_request_that_got_lost_is_sent_again_under_the_same_key(counter: Counter) -> None:
    await counter.misbehave(loses_bps=ALWAYS)
    await counter.sent(700)
    await counter.carry(3)
    assert ([each.status for each in await counter.payouts()], await counter.transfers()) == (["unknown"], [])
    await counter.misbehave()
    await counter.carry()
    (payout,), (transfer,) = await counter.payouts(), await counter.transfers()
    assert (payout.status, transfer.key) == ("paid", f"ivt{payout.id[4:]}")


async def test_while_nobody_answers_nothing_is_sent_again(counter: Counter) -> None:
    await counter.misbehave(times_out_bps=ALWAYS, loses_answers_bps=ALWAYS)
    await counter.sent(700)
    await counter.carry(5)
    (payout,), (transfer,) = await counter.payouts(), await counter.transfers()
    assert (payout.status, payout.attempts, transfer.asked_again) == ("unknown", 5, 0)


async def test_a_worker_that_dies_after_the_call_leaves_it_to_the_next_to_ask(counter: Counter) -> None:
    await counter.sent(700)
    async with counter.resources.db.system() as session:
        (claim,) = await claims(session, counter)
    rail = worker.rail_of(counter.resources, None, claim)  # type: ignore[arg-type]  # the sandbox calls nobody
    await rail.send(claim.transfer)
    await counter.carry()
    assert [each.status for each in await counter.payouts()] == ["submitting"], "its claim still holds"
    await counter.lapse()
    await counter.carry()
    (transfer,) = await counter.transfers()
    assert ([each.status for each in await counter.payouts()], transfer.asked_again) == (["paid"], 0)


async def test_a_claim_that_ran_out_says_nothing_any_more(counter: Counter) -> None:
    await counter.sent(700)
    async with counter.resources.db.system() as session:
        (old,) = await claims(session, counter)
    await counter.lapse()
    async with counter.resources.db.system() as session:
        (new,) = await claims(session, counter)
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        assert not await carrying.record(session, claim=old, answer=Answer("failed", reason="x"))
        assert await carrying.record(session, claim=new, answer=Answer("paid"))
        assert not await carrying.record(session, claim=new, answer=Answer("paid"))
    assert await counter.differences() == []


async def test_rejected_is_failed_and_payable_again_by_another_transfer(counter: Counter) -> None:
    await counter.misbehave(rejects_bps=ALWAYS)
    await counter.sent(700)
    await counter.carry()
    assert await seen(counter) == (["failed"], ["failed"], ["payable"], ["payout.failed"])
    await counter.misbehave()
    again = await counter.send((await counter.approved()).id)
    await counter.carry()
    assert [each.status for each in await counter.transfers()] == ["rejected", "paid"]
    assert ((await counter.batch(again.id)).status, await counter.differences()) == ("settled", [])


async def test_a_payee_who_confirms_late_is_waited_for(counter: Counter) -> None:
    await counter.misbehave(asks_payee_bps=ALWAYS, confirms_after_seconds=5 * 3_600)
    batch = await counter.sent(700)
    await counter.carry(3)
    (payout,) = await counter.payouts()
    assert (payout.status, payout.package_info) == ("awaiting_payee", f"sandbox:ivt{payout.id[4:]}")
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        with pytest.raises(Conflict, match="nothing_to_pay"):
            await service.build(session, merchant_id=counter.merchant_id, actor_id=counter.maker, now=clock.utcnow())
    await counter.carry(4)
    (payout,) = await counter.payouts()
    assert (payout.status, payout.package_info) == ("paid", None)
    assert (await counter.batch(batch.id)).status == "settled"


async def test_a_payee_who_never_confirms_is_paid_again_only_when_the_transfer_is_closed(counter: Counter) -> None:
    await counter.misbehave(asks_payee_bps=ALWAYS, confirms_after_seconds=None)
    await counter.sent(700)
    await counter.carry(2)
    await counter.pass_time(86_400)
    await counter.carry()
    assert await seen(counter) == (["failed"], ["failed"], ["payable"], ["payout.failed"])
    assert [each.status for each in await counter.transfers()] == ["closed"]


async def test_giving_up_waits_for_what_the_provider_says(counter: Counter) -> None:
    await counter.misbehave(asks_payee_bps=ALWAYS, confirms_after_seconds=None)
    await counter.sent(700)
    await counter.carry()
    await give_up(counter)
    assert [each.status for each in await counter.payouts()] == ["awaiting_payee"]
    await counter.carry()
    assert await seen(counter) == (["failed"], ["failed"], ["payable"], ["payout.failed"])
    assert await counter.differences() == []


async def test_one_who_confirms_before_it_is_given_up_is_paid(counter: Counter) -> None:
    await counter.misbehave(asks_payee_bps=ALWAYS, confirms_after_seconds=60)
    await counter.sent(700)
    await counter.carry()
    await give_up(counter)
    await counter.carry()
    assert (await seen(counter))[0] == ["paid"]


async def give_up(counter: Counter) -> None:
    (payout,) = await counter.payouts()
    scope = {"merchant_id": counter.merchant_id, "payout_id": payout.id, "actor_id": counter.checker}
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        await sending.give_up(session, **scope, now=await counter.now())


async def test_delayed_is_carried_out_later(counter: Counter) -> None:
    await counter.misbehave(delays_bps=ALWAYS, delay_seconds=5_000)
    await counter.sent(700)
    await counter.carry()
    assert [each.status for each in await counter.payouts()] == ["submitting"]
    await counter.carry(2)
    assert [each.status for each in await counter.payouts()] == ["paid"]


async def report(session: AsyncSession, batch_id: str, payout: Payout, counter: Counter) -> None:
    """Of a file that nobody exported, with a column as if somebody had."""
    file = parse(f"payout_id,status,amount\n{payout.id},paid,7.00\n".encode())
    who: dict[str, Any] = {"merchant_id": counter.merchant_id, "actor_id": counter.checker, "now": clock.utcnow()}
    await results.import_results(session, batch_id=batch_id, file=file, **who)


async def test_what_was_sent_takes_no_result_file_when_it_is_settled_either(counter: Counter) -> None:
    batch = await counter.sent(700)
    await counter.carry()
    (payout,) = await counter.payouts()
    assert payout.status == "paid"
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        with pytest.raises(Conflict, match="batch_sent"):
            await report(session, batch.id, payout, counter)


async def test_what_is_sent_is_neither_cancelled_nor_exported(counter: Counter) -> None:
    batch = await counter.sent(700)
    own: dict[str, Any] = {"merchant_id": counter.merchant_id, "now": clock.utcnow()}
    (payout,) = await counter.payouts()
    for refused in (
        lambda session: service.cancel(session, batch_id=batch.id, actor_id=counter.maker, **own),
        lambda session: exports.export(session, batch_id=batch.id, actor_id=counter.checker, format_="csv", **own),
        lambda session: withdrawals.cancel(session, withdrawal_id=payout.withdrawal_id, **own),
        lambda session: report(session, batch.id, payout, counter),
    ):
        async with counter.resources.db.tenant(counter.merchant_id) as session:
            with pytest.raises(Conflict, match=r"batch_sent|withdrawal_in_payout"):
                await refused(session)


async def test_a_live_batch_needs_a_rail_for_each_payee(resources: Resources, merchant: MerchantFixture) -> None:
    counter = await open_counter(resources, merchant.live_id)
    async with resources.db.tenant(merchant.live_id) as session:
        await make_payable(session, merchant.live_id, 700, kind="wechat", account="oUpF8uMuAJO_1")
    batch = await counter.approved()
    with pytest.raises(Conflict, match="rail_not_configured"):
        await counter.send(batch.id, livemode=True)
    async with resources.db.tenant(merchant.live_id) as session:
        await make_payable(session, merchant.live_id, 700, account="6222021234567890")
    batch = await counter.approved()
    with pytest.raises(Conflict, match="rail_missing"):
        await counter.send(batch.id, livemode=True)


async def test_two_workers_never_claim_the_same_payout(counter: Counter) -> None:
    await counter.sent(700, 800, 900)
    db = counter.resources.db
    async with db.system() as one, db.system() as other:
        first, second = await claims(one, counter, limit=2), await claims(other, counter)
    assert (len(first), len(second)) == (2, 1)
    assert {each.payout_id for each in first}.isdisjoint(each.payout_id for each in second)


async def test_two_senders_of_one_batch_make_one_transfer(counter: Counter) -> None:
    await counter.sent(100)
    await counter.carry()
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        await make_payable(session, counter.merchant_id, 700, kind="wechat", account="oUpF8uMuAJO_2")
    batch = await counter.approved()
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        await session.execute(select(Withdrawal).with_for_update())
        both = [asyncio.create_task(counter.send(batch.id)) for _ in range(2)]
        await until_blocked(counter.resources, *both)
    first, second = await asyncio.gather(*both)
    assert first.sent_at == second.sent_at
    await asyncio.gather(counter.carry(), counter.carry())
    assert [each.amount_minor for each in await counter.transfers()] == [100, 700]
    assert await counter.differences() == []


async def test_the_money_of_an_outcome_moves_once_however_often_it_is_recorded_at_once(counter: Counter) -> None:
    await counter.sent(700)
    db = counter.resources.db
    async with db.system() as session:
        (claim,) = await claims(session, counter)

    async def record() -> bool:
        async with db.tenant(counter.merchant_id) as session:
            return await carrying.record(session, claim=claim, answer=Answer("paid"))

    async with db.tenant(counter.merchant_id) as session:
        await lock_batches(session, counter.merchant_id)
        both = [asyncio.create_task(record()) for _ in range(2)]
        await until_blocked(counter.resources, *both)
    assert sorted(await asyncio.gather(*both)) == [False, True]
    assert await counter.differences() == []
