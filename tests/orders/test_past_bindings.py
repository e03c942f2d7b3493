"""Orders that were paid before a re-binding, and reported after it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import ProgrammingError

from app.campaigns.document import AttributionRule
from app.kit import clock, ids
from app.models import Participant, PastBinding, Referral
from app.referrals import binding, service
from app.resources import Resources
from tests.factories import make_participant
from tests.factories.shops import Shop, Till

BEFORE = timedelta(minutes=2)


@pytest.fixture
async def other(resources: Resources, shop: Shop) -> Participant:
    async with resources.db.tenant(shop.merchant_id) as session:
        return await make_participant(session, shop.campaign)


async def rebind(resources: Resources, shop: Shop, who: Participant, to: Participant, *, now: datetime) -> None:
    async with resources.db.tenant(shop.merchant_id) as session:
        await service.rebind(
            session,
            merchant_id=shop.merchant_id,
            participant_id=who.id,
            inviter_id=to.id,
            reason="scanned the wrong poster",
            actor="usr_test",
            now=now,
        )


def earners(order: dict[str, Any]) -> list[str | None]:
    return [part["beneficiary_id"] for part in order["explanation"] if part["amount_minor"]]


def moments(order: dict[str, Any]) -> list[datetime | None]:
    found = [part["binding_replaced_at"] for part in order["explanation"]]
    return [datetime.fromisoformat(one) if one else None for one in found]


async def test_what_was_paid_before_a_rebinding_pays_whom_it_would_have_paid_then(
    till: Till, shop: Shop, resources: Resources, other: Participant
) -> None:
    now = clock.utcnow()
    await rebind(resources, shop, shop.buyer, other, now=now)
    late = await till.sell(paid_at=(now - BEFORE).isoformat())
    assert earners(late) == [shop.first.id, shop.second.id]
    assert moments(late) == [now, now]
    fresh = await till.sell(paid_at=now.isoformat())
    assert earners(fresh) == [other.id]
    assert moments(fresh) == [None, None]
    assert (await till.get(f"/v1/orders/{late['id']}"))["explanation"] == late["explanation"]
    await till.check_books()


async def test_the_inviters_own_inviter_is_the_one_of_then_too(
    till: Till, shop: Shop, resources: Resources, other: Participant
) -> None:
    now = clock.utcnow()
    await rebind(resources, shop, shop.first, other, now=now)
    late = await till.sell(paid_at=(now - BEFORE).isoformat())
    assert earners(late) == [shop.first.id, shop.second.id]
    assert moments(late) == [None, now]
    assert earners(await till.sell(paid_at=now.isoformat())) == [shop.first.id, other.id]


async def test_of_several_rebindings_the_first_after_the_payment_counts(
    till: Till, shop: Shop, resources: Resources, other: Participant
) -> None:
    now = clock.utcnow()
    await rebind(resources, shop, shop.buyer, other, now=now - timedelta(minutes=2))
    await rebind(resources, shop, shop.first, other, now=now - timedelta(minutes=1))
    await rebind(resources, shop, shop.buyer, shop.second, now=now)
    at = [now - timedelta(minutes=3), now - timedelta(seconds=90), now]
    orders = [await till.sell(paid_at=instant.isoformat()) for instant in at]
    assert [earners(order) for order in orders] == [[shop.first.id, shop.second.id], [other.id], [shop.second.id]]
    await till.check_books()


async def test_who_had_come_alone_makes_nobody_earn_for_what_was_paid_then(
    till: Till, shop: Shop, resources: Resources, other: Participant
) -> None:
    now = clock.utcnow()
    await rebind(resources, shop, shop.second, other, now=now)
    alone = {"participant_id": shop.second.id}
    late = await till.sell(**alone, paid_at=(now - BEFORE).isoformat())
    assert [part["reason"] for part in late["explanation"]] == ["no_inviter", "no_inviter"]
    assert moments(late) == [now, now]
    assert earners(await till.sell(**alone, paid_at=now.isoformat())) == [other.id]


async def test_a_binding_that_was_renewed_does_not_pay_for_the_gap(
    till: Till, shop: Shop, resources: Resources
) -> None:
    now = clock.utcnow()
    own = shop.merchant_id
    async with resources.db.tenant(own) as session:
        rule = AttributionRule()
        buyer, first = [await session.get_one(Participant, (own, one.id)) for one in (shop.buyer, shop.first)]
        bond = binding.Bond(rule, "first_bind", now - clock.days(30) - BEFORE)
        await binding.bind(session, buyer, first, bond, new_member=True)
        await binding.hang(session, buyer, first, binding.Bond(rule, "renewed", now))
    gap = await till.sell(paid_at=(now - timedelta(minutes=1)).isoformat())
    assert [part["reason"] for part in gap["explanation"]] == ["binding_ended", "binding_ended"]
    assert earners(await till.sell(paid_at=now.isoformat())) == [shop.first.id, shop.second.id]


async def test_a_first_binding_reaches_back(till: Till, shop: Shop, resources: Resources) -> None:
    """A shop that sends the order's time before it signs the buyer up loses nobody a commission."""
    async with resources.db.tenant(shop.merchant_id) as session:
        referral = Referral(
            merchant_id=shop.merchant_id,
            id=ids.new("ref"),
            campaign_id=shop.campaign.id,
            inviter_id=shop.first.id,
            invitee_id=shop.buyer.id,
            bound_at=clock.utcnow(),
            new_member=True,
            decision={},
        )
        session.add(referral)
    order = await till.sell(paid_at=(clock.utcnow() - BEFORE).isoformat())
    assert earners(order) == [shop.first.id, shop.second.id]


@pytest.mark.parametrize("role", ["tenant", "system"])
async def test_what_was_is_never_written_anew(shop: Shop, resources: Resources, other: Participant, role: str) -> None:
    await rebind(resources, shop, shop.buyer, other, now=clock.utcnow())
    for statement in (update(PastBinding).values(inviter_id=None), text("DELETE FROM past_bindings")):
        transaction = resources.db.tenant(shop.merchant_id) if role == "tenant" else resources.db.system()
        async with transaction as session:
            with pytest.raises(ProgrammingError, match="permission denied"):
                await session.execute(statement)
            await session.rollback()
