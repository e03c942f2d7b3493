"""Payouts that no provider settles: not sent twice, given up, and kept from stopping the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from app.kit import clock, ids
from app.kit.errors import Conflict
from app.payouts import sending
from app.payouts.rails import credentials
from app.resources import Resources
from tests.factories import MerchantFixture
from tests.factories.payables import make_payable
from tests.factories.providers import alipay_settings, wechat_settings
from tests.factories.rails import Counter, open_counter

ALWAYS = 10_000


@pytest.fixture
async def counter(resources: Resources, merchant: MerchantFixture) -> Counter:
    async with resources.db.system() as session:
        await session.execute(text("UPDATE payouts SET due_at = NULL"))  # of tests before this one
    return await open_counter(resources, merchant.test_id)


async def give_up(counter: Counter) -> None:
    (payout,) = await counter.payouts()
    scope = {"merchant_id": counter.merchant_id, "payout_id": payout.id, "actor_id": counter.checker}
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        await sending.give_up(session, **scope, now=await counter.now())


async def execute(counter: Counter, sql: str, **values: Any) -> None:
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        await session.execute(text(sql), values)


async def statuses(counter: Counter) -> list[str]:
    return [each.status for each in await counter.payouts()]


async def test_given_up_before_it_was_sent_it_never_is(counter: Counter) -> None:
    batch = await counter.sent(700)
    await give_up(counter)
    await counter.carry(3)
    assert await statuses(counter) == ["unknown"]
    await counter.carry()
    assert (await statuses(counter), await counter.transfers()) == (["failed"], [])
    assert ((await counter.batch(batch.id)).status, await counter.differences()) == ("settled", [])


async def test_given_up_while_unknown_it_is_not_sent_again(counter: Counter) -> None:
    await counter.misbehave(loses_bps=ALWAYS)
    await counter.sent(700)
    await counter.carry(3)
    await give_up(counter)
    await counter.misbehave()
    await counter.carry()
    assert await statuses(counter) == ["unknown"], "what was on its way may still arrive"
    await counter.carry()
    assert (await statuses(counter), await counter.transfers()) == (["failed"], [])


async def test_given_up_while_unknown_but_carried_out_it_is_paid(counter: Counter) -> None:
    await counter.misbehave(times_out_bps=ALWAYS)
    await counter.sent(700)
    await counter.carry()
    await give_up(counter)
    await counter.carry()
    assert (await statuses(counter), await counter.differences()) == (["paid"], [])


@pytest.mark.parametrize("is_given_up", [False, True])
async def test_what_its_provider_has_named_is_neither_sent_again_nor_failed(
    counter: Counter, is_given_up: bool
) -> None:
    await counter.misbehave(asks_payee_bps=ALWAYS)
    await counter.sent(700)
    await counter.carry()
    await execute(counter, "UPDATE sandbox_transfers SET key = 'of somebody else'")
    if is_given_up:
        await give_up(counter)
    await counter.carry(6)
    assert (await statuses(counter), len(await counter.transfers())) == (["unknown"], 1)


async def test_after_a_month_nothing_is_sent_again(counter: Counter) -> None:
    await counter.misbehave(loses_bps=ALWAYS)
    await counter.sent(700)
    await counter.carry()
    await counter.misbehave()
    await counter.pass_time(29 * 86_400)
    await counter.carry(5)
    assert (await statuses(counter), await counter.transfers()) == (["unknown"], [])


async def test_what_was_not_handed_to_a_provider_is_not_given_up(counter: Counter) -> None:
    async with counter.resources.db.tenant(counter.merchant_id) as session:
        await make_payable(session, counter.merchant_id, 700, kind="wechat", account="oUpF8uMuAJO_1")
    await counter.approved()
    with pytest.raises(Conflict, match="payout_created"):
        await give_up(counter)


async def test_what_cannot_be_read_stops_no_other(counter: Counter) -> None:
    await counter.sent(700, 800)
    first, _ = await counter.payouts()
    await execute(
        counter,
        "UPDATE payee_accounts SET account = '\\x00' WHERE id = :id",
        id=ids.decode("pac", first.payee_account_id),
    )
    await counter.carry()
    assert await statuses(counter) == ["submitting", "paid"]


async def test_claims_are_counted_beyond_what_two_bytes_hold(counter: Counter) -> None:
    await counter.sent(700)
    await execute(counter, "UPDATE payouts SET attempts = 32767")
    await counter.carry()
    (payout,) = await counter.payouts()
    assert (payout.status, payout.attempts) == ("paid", 32_768)


async def test_an_account_is_not_changed_while_payouts_by_it_are_open(
    resources: Resources, merchant: MerchantFixture
) -> None:
    counter = await open_counter(resources, merchant.live_id)
    own: dict[str, Any] = {"merchant_id": counter.merchant_id, "actor_id": counter.checker, "now": clock.utcnow()}

    async def save(settings: credentials.Settings) -> None:
        async with resources.db.tenant(counter.merchant_id) as session:
            await credentials.save(session, settings=settings, **own)

    await save(wechat_settings())
    await save(wechat_settings(mch_id="1900000110"))
    async with resources.db.tenant(counter.merchant_id) as session:
        await make_payable(session, counter.merchant_id, 700, kind="wechat", account="oUpF8uMuAJO_1")
    await counter.send((await counter.approved()).id, livemode=True)
    for other in (wechat_settings(), wechat_settings(mch_id="1900000110", app_id="wx1")):
        with pytest.raises(Conflict, match="payout_rail_in_use"):
            await save(other)
    await save(replace(wechat_settings(mch_id="1900000110"), serial_no="NEW"))
    await save(alipay_settings())
    await save(alipay_settings(app_id="2021000000000001"))
    await execute(counter, "UPDATE payouts SET status = 'failed'")
    await save(wechat_settings())
