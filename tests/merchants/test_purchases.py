"""A plan is paid for: days and fee follow at once, once, by the clock of the merchant that bought it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from app.campaigns import service as campaigns
from app.kit import clock, ids
from app.kit.errors import Conflict, NotFound
from app.ledger import funds
from app.merchants import buying, purchases
from app.merchants import house as houses
from app.models import AuditEntry, Campaign, Checkout, Commission, MembershipGrant, Merchant, Order
from app.plans import queries as plans
from app.resources import Resources
from tests.factories.shops import make_shop
from tests.merchants.conftest import House, Registered

DAY = timedelta(days=1)
CAMPAIGN = {
    "name": "邀请好友",
    "kind": "refer_a_friend",
    "landing": {"organiser": "清茶书社"},
    "rules_text": "活动长期有效。",
}


async def own(merchant: Registered, *, live: bool) -> dict[str, Any]:
    answer = await merchant.api(live=live).get("/v1/merchant")
    found: dict[str, Any] = answer.json()
    return found


def days_left(instant: str, ahead: timedelta = timedelta()) -> int:
    return round((datetime.fromisoformat(instant) - clock.utcnow() - ahead) / DAY)


async def move_clock(api: httpx.AsyncClient, days: int) -> None:
    assert (await api.post("/v1/test-clock", json={"advance_seconds": days * clock.DAY_SECONDS})).status_code == 200


async def publish(api: httpx.AsyncClient) -> int:
    draft = (await api.post("/v1/campaigns", json=CAMPAIGN)).json()
    return (await api.post(f"/v1/campaigns/{draft['id']}/publish")).status_code


@pytest.mark.parametrize("live", [True, False])
async def test_a_plan_brings_its_fee_and_paid_days_before_the_earned_ones(house: House, live: bool) -> None:
    merchant = await house.register()
    before = await own(merchant, live=live)
    assert (before["plan"], before["platform_fee_bps"], before["plan_ends_at"]) == ("free", 100, None)
    await house.buy(merchant.id(live=live))
    after = await own(merchant, live=live)
    assert (after["plan"], after["platform_fee_bps"]) == ("pro_month", 60)
    assert (days_left(after["plan_ends_at"]), days_left(after["membership"]["ends_at"])) == (30, 60)


async def test_what_the_live_merchant_bought_shows_in_test_but_not_the_other_way_round(house: House) -> None:
    merchant = await house.register()
    await house.buy(merchant.test_id, "pro_year")
    assert (await own(merchant, live=True))["plan"] == "free"
    await house.buy(merchant.live_id, "pro_month")
    shown = await own(merchant, live=False)
    assert (shown["plan"], days_left(shown["membership"]["ends_at"])) == ("pro_year", 30 + 365 + 30)
    assert (await own(merchant, live=True))["plan"] == "pro_month"


async def test_used_up_days_end_the_plan_and_publishing_until_the_next_purchase(house: House) -> None:
    merchant = await house.register()
    await house.buy(merchant.test_id)
    await move_clock(merchant.test, 30)
    shown = await own(merchant, live=False)
    assert (shown["plan"], shown["platform_fee_bps"], shown["membership"]["active"]) == ("free", 100, True)
    assert await publish(merchant.test) == 200
    await move_clock(merchant.test, 30)
    assert (await own(merchant, live=False))["membership"]["active"] is False
    assert await publish(merchant.test) == 402
    await house.buy(merchant.test_id)
    assert await publish(merchant.test) == 200
    shown = await own(merchant, live=False)
    assert (shown["plan"], days_left(shown["plan_ends_at"], 60 * DAY)) == ("pro_month", 30)


async def test_a_renewal_adds_days_and_a_better_plan_takes_effect_at_once(house: House) -> None:
    merchant = await house.register()
    for _ in range(2):
        await house.buy(merchant.test_id)
    shown = await own(merchant, live=False)
    assert (days_left(shown["plan_ends_at"]), days_left(shown["membership"]["ends_at"])) == (60, 90)
    await house.buy(merchant.test_id, "pro_year")
    shown = await own(merchant, live=False)
    assert (shown["plan"], shown["platform_fee_bps"]) == ("pro_year", 40)
    assert (days_left(shown["plan_ends_at"]), days_left(shown["membership"]["ends_at"])) == (365, 455)
    await move_clock(merchant.test, 366)
    assert (await own(merchant, live=False))["plan"] == "pro_month"


async def test_what_is_paid_is_what_was_offered(house: House, resources: Resources) -> None:
    """The price list, which is the owner's alone to change, may be another one by then."""
    merchant = await house.register()
    checkout = await house.open_plan(merchant.live_id)
    async with resources.db.system() as session:
        row = await session.get_one(Checkout, (checkout.merchant_id, checkout.id))
        row.meta = {**row.meta, "plan": "pro_week", "days": 7, "platform_fee_bps": 80}
    assert await house.pay(checkout)
    shown = await own(merchant, live=True)
    assert (shown["plan"], shown["platform_fee_bps"], days_left(shown["plan_ends_at"])) == ("pro_week", 80, 7)
    async with resources.db.system() as session:
        order = await session.get_one(Order, (checkout.merchant_id, checkout.id))
        assert order.meta["days"] == 7


async def test_a_payment_told_again_gives_nothing_more(house: House, resources: Resources) -> None:
    merchant = await house.register()
    checkout = await house.buy(merchant.live_id)
    assert await house.pay(checkout) is False
    async with resources.db.system() as session:
        # As if its giver had died before it said so.
        await session.execute(update(Checkout).where(Checkout.id == checkout.id).values(applied_at=None))
    assert await house.pay(checkout) is False
    assert days_left((await own(merchant, live=True))["membership"]["ends_at"]) == 60


async def test_a_payment_told_many_times_at_once_is_given_once(house: House, resources: Resources) -> None:
    merchant = await house.register()
    checkout = await house.open_plan(merchant.live_id)
    done = await asyncio.gather(*(house.pay(checkout) for _ in range(4)))
    assert sorted(done) == [False, False, False, True]
    async with resources.db.system() as session:
        grants = await session.scalars(select(MembershipGrant).where(MembershipGrant.source_key == checkout.id))
        assert [(grant.paid, grant.seconds) for grant in grants] == [(True, 30 * clock.DAY_SECONDS)]


async def test_purchases_at_once_add_up(house: House) -> None:
    merchant = await house.register()
    opened = [await house.open_plan(merchant.live_id) for _ in range(3)]
    assert await asyncio.gather(*(house.pay(checkout) for checkout in opened)) == [True] * 3
    shown = await own(merchant, live=True)
    assert (days_left(shown["plan_ends_at"]), days_left(shown["membership"]["ends_at"])) == (90, 120)


async def test_inviters_and_invited_buy_and_prove_their_phones_at_once(house: House) -> None:
    """All of these lock days of two or three merchants."""
    chain = [await house.register()]
    for _ in range(3):
        chain.append(await house.register(invite_code=chain[-1].invite_code))
    opened = [await house.open_plan(merchant.live_id) for merchant in chain]

    async def prove(merchant: Registered) -> bool:
        done = await merchant.live.post("/v1/merchant/verify", json={"code": merchant.sandbox_code})
        return done.status_code == 200

    proofs = (prove(merchant) for merchant in reversed(chain))
    assert all(await asyncio.gather(*(house.pay(checkout) for checkout in opened), *proofs))
    ends = [(await own(merchant, live=True))["membership"]["ends_at"] for merchant in chain]
    assert [days_left(end) for end in ends] == [90, 120, 120, 90]


async def test_where_the_own_campaign_is_over_the_running_one_takes_the_sale(
    house: House, resources: Resources
) -> None:
    merchant = await house.register()
    before = await house.buy(merchant.test_id)
    old = update(Campaign).where(Campaign.id == before.campaign_id)
    async with resources.db.system() as session:
        own_: dict[str, Any] = {"merchant_id": before.merchant_id, "actor": "system", "now": clock.utcnow()}
        other, _ = await campaigns.create(session, **own_, fields=houses.FIELDS)
        await campaigns.publish(session, **own_, campaign_id=other.id)
        await session.execute(old.values(status="ended", ended_at=clock.utcnow()))
    try:
        after = await house.buy(merchant.test_id)
    finally:
        async with resources.db.system() as session:
            await session.execute(old.values(status="active", ended_at=None))
            await session.execute(update(Campaign).where(Campaign.id == other.id).values(status="ended"))
    assert (after.campaign_id, after.member_id) == (other.id, before.member_id)
    async with resources.db.system() as session:
        assert (await session.get_one(Order, (after.merchant_id, after.id))).campaign_id == other.id


async def test_the_sale_is_an_order_of_the_house_and_in_its_funds(house: House, resources: Resources) -> None:
    merchant = await house.register()
    async with resources.db.system() as session:
        house_id = await houses.live_id(session) or ""
        before = (await funds.available(session, merchant_id=house_id, currency="CNY")).funds_minor
    checkout = await house.buy(merchant.live_id, "pro_year")
    async with resources.db.system() as session:
        order = await session.get_one(Order, (house_id, checkout.id))
        found = await funds.available(session, merchant_id=house_id, currency="CNY")
        audits = select(AuditEntry.merchant_id).where(
            AuditEntry.subject_id == checkout.id, AuditEntry.action == "plan.bought"
        )
        audited = (await session.scalars(audits)).all()
        fee = await plans.standing(session, merchant_id=house_id, now=clock.utcnow())
    assert (order.amount_minor, order.external_order_id, order.status) == (99_000, checkout.id, "paid")
    assert found.funds_minor - before == 99_000
    assert set(audited) == {merchant.live_id, house_id}
    assert fee.platform_fee_bps == 0


async def test_inviters_earn_where_the_house_campaign_says_so(house: House, resources: Resources) -> None:
    inviter = await house.register()
    merchant = await house.register(invite_code=inviter.invite_code)
    async with house.paying_inviters():
        checkout = await house.buy(merchant.live_id, "pro_year")
    async with resources.db.system() as session:
        earned = (await session.scalars(select(Commission).where(Commission.order_id == checkout.id))).one()
        member = await session.scalar(select(Merchant.house_member_id).where(Merchant.id == inviter.live_id))
    assert (earned.amount_minor, earned.member_id) == (19_800, member)


async def test_what_cannot_be_bought(house: House, resources: Resources) -> None:
    merchant = await house.register()
    for key in ("free", "pro", "nothing"):
        with pytest.raises(NotFound, match="plan_not_found"):
            await house.open_plan(merchant.live_id, key)
    checkout = await house.open_plan(merchant.live_id)
    async with resources.db.system() as session:
        with pytest.raises(Conflict, match="checkout_not_paid"):
            await purchases.complete(session, checkout=checkout, now=clock.utcnow())
        house_id = await houses.live_id(session) or ""
        own_: dict[str, Any] = {"merchant_id": house_id, "sandbox_for_live": True, "now": clock.utcnow()}
        with pytest.raises(Conflict, match="house_buys_nothing"):
            await buying.open_plan(session, **own_, key="pro_month")
    assert (await own(merchant, live=True))["plan"] == "free"


async def test_a_top_up_is_the_merchants_funds_once(house: House, resources: Resources) -> None:
    merchant = await house.register()
    for live in (True, False):
        checkout = await house.top_up(merchant.id(live=live), 50_000)
        assert await house.pay(checkout) is False
        async with resources.db.tenant(merchant.id(live=live)) as session:
            found = await funds.available(session, merchant_id=merchant.id(live=live), currency="CNY")
        assert found.available_minor == 50_000


async def test_orders_are_charged_by_the_plan_in_force_when_they_are_recorded(
    house: House, resources: Resources
) -> None:
    merchant = await house.register()
    async with resources.db.tenant(merchant.test_id) as session:
        shop = await make_shop(session, merchant.test_id)

    async def fee() -> tuple[int, int]:
        key, paid_at = {"Idempotency-Key": ids.new("key")}, (await shop_time(merchant.test)).isoformat()
        answer = await merchant.test.post("/v1/orders", json=shop.order(paid_at=paid_at), headers=key)
        assert answer.status_code == 201, answer.text
        return answer.json()["platform_fee_bps"], answer.json()["platform_fee_minor"]

    assert await fee() == (100, 59)
    await house.buy(merchant.test_id)
    assert await fee() == (60, 35)
    await move_clock(merchant.test, 31)
    assert await fee() == (100, 59)
    funding = (await merchant.test.get("/v1/merchant/funding")).json()
    assert (funding["owed_fees_minor"], funding["available_minor"]) == (153, -153)


async def shop_time(api: httpx.AsyncClient) -> datetime:
    moved = await api.post("/v1/test-clock", json={"advance_seconds": 1})
    return datetime.fromisoformat(moved.json()["now"])
