from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app.kit.errors import Conflict, Forbidden, InvitreeError, NotFound
from app.models import AuditEntry, Payout, PayoutBatch, Withdrawal
from app.payouts import planning, queries, reconciliation, service, withdrawals
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign
from tests.factories.payables import (
    NOW,
    buckets,
    make_commission,
    make_debt,
    make_payable,
    make_user,
    statuses,
)
from tests.payouts.conftest import Office


async def preview(office: Office, campaign_id: str | None = None) -> planning.Plan:
    return await service.preview(office.session, merchant_id=office.merchant_id, choice=planning.Choice(campaign_id))


async def adds_up(office: Office) -> bool:
    report = await reconciliation.reconcile(office.session, merchant_id=office.merchant_id)
    assert report.differences == []
    return True


async def test_preview_says_who_would_be_paid_and_who_not_and_why(office: Office) -> None:
    own, session = office.merchant_id, office.session
    paid = await make_payable(session, own, 1_770, 590)
    poor, homeless = await make_payable(session, own, 99), await make_payable(session, own, 500, payee=False)
    debtor = await make_payable(session, own, 500)
    await make_debt(session, debtor, 800)
    plan = await preview(office)
    assert [(one.member_id, one.amount_minor) for one in plan.payouts] == [(paid.member_id, 2_360)]
    assert plan.total_minor == 2_360
    assert {one.member_id: (one.reason, one.amount_minor) for one in plan.skipped} == {
        poor.member_id: ("below_minimum", 99),
        homeless.member_id: ("payee_account_missing", 500),
        debtor.member_id: ("negative_balance", -300),
    }
    assert await statuses(session, paid) == ["payable", "payable"]


async def test_a_batch_takes_requests_and_everybody_else_who_can_be_paid(office: Office) -> None:
    own, session = office.merchant_id, office.session
    asker, silent = await make_payable(session, own, 700), await make_payable(session, own, 900)
    asked = await withdrawals.request(session, merchant_id=own, member_id=asker.member_id, now=NOW)
    await make_commission(session, asker, 50)
    batch = await office.build()
    assert (batch.status, batch.payout_count, batch.total_minor, batch.built_by) == ("built", 2, 1_600, office.maker)
    payouts = await queries.payouts_of_batch(session, merchant_id=own, batch_id=batch.id)
    assert {(p.member_id, p.amount_minor, p.status) for p in payouts} == {
        (asker.member_id, 700, "created"),
        (silent.member_id, 900, "created"),
    }
    assert asked.id in {payout.withdrawal_id for payout in payouts}
    assert await buckets(session, silent) == (0, 900, 0)
    assert await adds_up(office)


async def test_built_again_there_is_nothing_to_pay(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    await office.build()
    with pytest.raises(Conflict, match="nothing_to_pay"):
        await office.build()


async def test_a_campaign_chooses_members_and_pays_them_whole(office: Office) -> None:
    own, session = office.merchant_id, office.session
    campaign = await make_campaign(session, own)
    chosen, other = await make_payable(session, own, 700, campaign=campaign), await make_payable(session, own, 900)
    await make_debt(session, chosen, 100)
    batch = await office.build(campaign_id=campaign.id)
    assert (batch.payout_count, batch.total_minor, batch.campaign_id) == (1, 600, campaign.id)
    assert await buckets(session, other) == (900, 0, 0)
    with pytest.raises(NotFound, match="campaign_not_found"):
        await office.build(campaign_id="cmp_nonsense")


async def test_a_member_with_an_older_batch_open_waits(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 700)
    await office.build()
    await make_commission(office.session, promoter, 800)
    plan = await preview(office)
    assert [(one.reason, one.amount_minor) for one in plan.skipped] == [("withdrawal_open", 800)]


@pytest.mark.parametrize(
    ("role", "allowed"), [("owner", True), ("finance", True), ("operator", False), ("viewer", False)]
)
async def test_approval_takes_a_role_that_may(office: Office, role: str, *, allowed: bool) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    batch, user = await office.build(), await make_user(office.session, office.merchant_id, role)
    if allowed:
        assert (await office.approve(batch, user)).approved_by == user
    else:
        with pytest.raises(Forbidden, match="role_not_allowed"):
            await office.approve(batch, user)


async def test_a_viewer_builds_nothing_and_a_stranger_is_not_found(office: Office) -> None:
    viewer = await make_user(office.session, office.merchant_id, "viewer")
    for actor, error, code in ((viewer, Forbidden, "role_not_allowed"), ("usr_x", NotFound, "merchant_user_not_found")):
        with pytest.raises(error, match=code):
            await service.build(office.session, merchant_id=office.merchant_id, actor_id=actor, now=NOW)


async def test_the_maker_is_not_the_checker(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    built = await service.build(office.session, merchant_id=office.merchant_id, actor_id=office.checker, now=NOW)
    with pytest.raises(Forbidden, match="maker_is_checker"):
        await office.approve(built.batch, office.checker)
    assert built.batch.status == "built"
    by_operator = await make_payable(office.session, office.merchant_id, 900)
    with pytest.raises(Forbidden, match="maker_is_checker"):
        await office.approve(await office.build(), office.maker)
    assert await buckets(office.session, by_operator) == (0, 900, 0)


async def test_the_database_too_refuses_a_maker_who_checks(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    batch = await office.build()
    with pytest.raises(DBAPIError, match="maker_is_not_checker"):
        await office.session.execute(text("UPDATE payout_batches SET approved_by = built_by"))
    assert batch.approved_by is None


async def test_approved_again_it_stays_approved_by_the_first(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    batch = await office.approve(await office.build())
    assert (await office.approve(batch)).status == "approved"
    second = await make_user(office.session, office.merchant_id, "owner")
    with pytest.raises(Conflict, match="batch_approved"):
        await office.approve(batch, second)
    assert batch.approved_by == office.checker


async def test_what_does_not_add_up_is_not_approved(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    batch = await office.build()
    await office.session.execute(text("UPDATE payouts SET amount_minor = 701"))
    with pytest.raises(Conflict, match="batch_does_not_add_up"):
        await office.approve(batch)


async def test_a_cancelled_batch_frees_its_money_for_the_next(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 700)
    first = await office.approve(await office.build())
    for _ in range(2):
        assert (await office.cancel(first)).status == "cancelled"
    assert await buckets(office.session, promoter) == (700, 0, 0)
    second = await office.build()
    assert (second.total_minor, second.number == first.number) == (700, False)
    with pytest.raises(Conflict, match="batch_cancelled"):
        await office.approve(first)
    assert await adds_up(office)


async def test_an_exported_batch_is_not_cancelled(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    batch = await office.exported()
    with pytest.raises(Conflict, match="batch_exported"):
        await office.cancel(batch)


async def test_a_withdrawal_cancelled_before_the_export_leaves_its_batch(office: Office) -> None:
    own, session = office.merchant_id, office.session
    leaver, stayer = await make_payable(session, own, 700), await make_payable(session, own, 900)
    batch = await office.approve(await office.build())
    mine = select(Withdrawal).where(Withdrawal.member_id == leaver.member_id)
    leaving = (await session.scalars(mine)).one()
    await withdrawals.cancel(session, merchant_id=own, withdrawal_id=leaving.id, now=NOW)
    assert (batch.payout_count, batch.total_minor, batch.status) == (1, 900, "approved")
    assert await buckets(session, leaver) == (700, 0, 0)
    exported = await office.export(batch)
    assert exported.content.count(b"pay_") == 1
    staying = (await session.scalars(select(Withdrawal).where(Withdrawal.member_id == stayer.member_id))).one()
    await session.refresh(staying)
    with pytest.raises(Conflict, match="withdrawal_in_payout"):
        await withdrawals.cancel(session, merchant_id=own, withdrawal_id=staying.id, now=NOW)
    assert await adds_up(office)


async def test_the_last_withdrawal_to_leave_cancels_the_batch(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    batch = await office.build()
    only = (await office.session.scalars(select(Withdrawal))).one()
    await withdrawals.cancel(office.session, merchant_id=office.merchant_id, withdrawal_id=only.id, now=NOW)
    assert (batch.status, batch.payout_count, batch.total_minor) == ("cancelled", 0, 0)


async def test_every_step_is_written_down(office: Office) -> None:
    await make_payable(office.session, office.merchant_id, 700)
    batch = await office.exported()
    entries = (await office.session.scalars(select(AuditEntry).where(AuditEntry.subject_id == batch.id))).all()
    assert sorted((entry.action, entry.actor) for entry in entries) == sorted(
        [
            ("payout_batch.built", office.maker),
            ("payout_batch.approved", office.checker),
            ("payout_batch.exported", office.checker),
        ]
    )
    assert all("6222" not in str(entry.detail) for entry in entries)


async def test_a_debt_after_the_build_is_left_for_the_next_payout(office: Office) -> None:
    promoter = await make_payable(office.session, office.merchant_id, 700)
    await office.build()
    await make_debt(office.session, promoter, 200)
    assert await buckets(office.session, promoter) == (-200, 700, 0)
    assert await adds_up(office)


async def _prepared(merchant: MerchantFixture, resources: Resources, members: int = 1) -> tuple[str, list[str]]:
    """A committed batch of as many members, and three people who may approve it."""
    async with resources.db.tenant(merchant.test_id) as session:
        for _ in range(members):
            await make_payable(session, merchant.test_id, 700)
        maker, *others = [await make_user(session, merchant.test_id, "owner") for _ in range(4)]
        built = await service.build(session, merchant_id=merchant.test_id, actor_id=maker, now=NOW)
    return built.batch.id, others


async def test_two_who_approve_at_once_are_told_apart(merchant: MerchantFixture, resources: Resources) -> None:
    batch_id, checkers = await _prepared(merchant, resources)

    async def approve(user: str) -> str:
        try:
            async with resources.db.tenant(merchant.test_id) as session:
                scope = {"merchant_id": merchant.test_id, "batch_id": batch_id}
                return (await service.approve(session, **scope, actor_id=user, now=NOW)).approved_by or ""
        except InvitreeError as error:
            return error.code

    found = await asyncio.gather(*map(approve, checkers))
    assert sorted(found)[:2] == ["batch_approved", "batch_approved"]
    async with resources.db.tenant(merchant.test_id) as session:
        batch = await queries.get_batch(session, merchant_id=merchant.test_id, batch_id=batch_id)
        assert batch.approved_by in found


async def test_approval_and_cancellation_at_once_end_in_one_state(
    merchant: MerchantFixture, resources: Resources
) -> None:
    batch_id, (user, *_) = await _prepared(merchant, resources, members=3)
    scope = {"merchant_id": merchant.test_id, "batch_id": batch_id, "actor_id": user}

    async def step(what: str) -> None:
        async with resources.db.tenant(merchant.test_id) as session:
            await getattr(service, what)(session, **scope, now=NOW)

    await asyncio.gather(*(step(what) for what in ("approve", "cancel", "approve", "cancel")), return_exceptions=True)
    async with resources.db.tenant(merchant.test_id) as session:
        batch = await queries.get_batch(session, merchant_id=merchant.test_id, batch_id=batch_id)
        assert batch.status == "cancelled"
        assert (await reconciliation.reconcile(session, merchant_id=merchant.test_id)).differences == []


async def test_ten_builds_at_once_pay_nobody_twice(merchant: MerchantFixture, resources: Resources) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        for _ in range(5):
            await make_payable(session, merchant.test_id, 700)
        maker = await make_user(session, merchant.test_id, "owner")

    async def build() -> str:
        try:
            async with resources.db.tenant(merchant.test_id) as session:
                await service.build(session, merchant_id=merchant.test_id, actor_id=maker, now=NOW)
        except InvitreeError as error:
            return error.code
        return "built"

    found = await asyncio.gather(*(build() for _ in range(10)))
    assert sorted(found) == ["built"] + ["nothing_to_pay"] * 9
    async with resources.db.tenant(merchant.test_id) as session:
        assert len((await session.scalars(select(Payout))).all()) == 5


async def test_a_crash_after_the_build_leaves_no_batch(merchant: MerchantFixture, resources: Resources) -> None:
    async with resources.db.tenant(merchant.test_id) as session:
        promoter = await make_payable(session, merchant.test_id, 700)
        maker = await make_user(session, merchant.test_id)

    async def die_halfway() -> None:
        async with resources.db.tenant(merchant.test_id) as session:
            await service.build(session, merchant_id=merchant.test_id, actor_id=maker, now=NOW)
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        await die_halfway()
    async with resources.db.tenant(merchant.test_id) as session:
        assert (await session.scalars(select(PayoutBatch))).all() == []
        assert await buckets(session, promoter) == (700, 0, 0)
