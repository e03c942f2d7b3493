"""Members with commissions that are payable, as orders and the passing of the hold would have left them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import embedded
from app.campaigns.document import RuleDocument
from app.kit import clock, crypto, ids
from app.ledger import queries as ledger
from app.ledger import service
from app.ledger.rules import cleared
from app.ledger.service import Leg
from app.models import Campaign, Commission, MerchantUser, Order, OrderLine, Participant, PayeeAccount
from app.orders import clearing
from app.payouts import accounts, queries
from tests.factories.campaigns import make_campaign, make_participant
from tests.factories.money import move

NOW: datetime = clock.utcnow()


async def make_user(session: AsyncSession, merchant_id: str, role: str = "finance", name: str = "王会计") -> str:
    user = MerchantUser(merchant_id=merchant_id, id=ids.new("usr"), name=name, role=role)
    session.add(user)
    await session.flush()
    return user.id


async def make_commission(
    session: AsyncSession,
    promoter: Participant,
    amount_minor: int,
    *,
    status: str = "payable",
    reverses: Commission | None = None,
    **values: Any,
) -> Commission:
    """Of an order of its own by another buyer; the ledger's bucket moves with it."""
    own = promoter.merchant_id
    line = await _line(session, promoter) if reverses is None else None
    commission = Commission(
        merchant_id=own,
        id=ids.new("com"),
        campaign_id=promoter.campaign_id,
        order_id=line.order_id if line else reverses and reverses.order_id,
        line_id=line.id if line else reverses and reverses.line_id,
        level=1,
        beneficiary_id=promoter.id,
        member_id=promoter.member_id,
        amount_minor=amount_minor,
        currency="CNY",
        base_minor=abs(amount_minor) * 10,
        rate_bps=1_000,
        rule_version=1,
        status=status,
        reverses_id=reverses and reverses.id,
        created_at=clock.utcnow(),
        **values,
    )
    session.add(commission)
    await session.flush()
    moved = Leg(f"member_{status}", promoter.member_id, amount_minor)
    if reverses is None:
        order = await session.get_one(Order, (own, commission.order_id))
        await clearing.sold(session, order=order, earned=[moved], now=clock.utcnow())
    else:
        rest = Leg("merchant_proceeds", None, -amount_minor)
        postings = [
            cleared(commission.order_id, "commission_reversed", commission.id, [moved]),
            cleared(commission.order_id, "proceeds_reversed", commission.id, [rest]),
        ]
        at: dict[str, Any] = {"merchant_id": own, "occurred_at": clock.utcnow(), "currency": "CNY"}
        await service.post_all(session, **at, postings=postings)
    return commission


async def make_payee(
    session: AsyncSession, merchant_id: str, member_id: str, *, account: str | None = None, **values: Any
) -> PayeeAccount:
    count = await session.scalar(select(func.count()).select_from(PayeeAccount))
    given = {"kind": "bank", "account": account or f"6222021234567{count:06d}", "real_name": "张小明", **values}
    saved, _ = await accounts.save(session, merchant_id=merchant_id, member_id=member_id, now=clock.utcnow(), **given)
    return saved


async def store_payee(session: AsyncSession, promoter: Participant, **stored: str) -> None:
    """The promoter's account as it was once saved: of its name and number more is refused by now."""
    found = await queries.latest_payee_account(session, merchant_id=promoter.merchant_id, member_id=promoter.member_id)
    assert found is not None
    for column, value in stored.items():
        setattr(found, column, value)
    await session.flush()


async def make_payable(
    session: AsyncSession,
    merchant_id: str,
    *amounts: int,
    campaign: Campaign | None = None,
    payee: bool = True,
    **payee_values: Any,
) -> Participant:
    """A promoter with one payable commission an amount, and a payee account unless told otherwise."""
    campaign = campaign or await make_campaign(session, merchant_id)
    promoter = await make_participant(session, campaign)
    for amount in amounts:
        await make_commission(session, promoter, amount)
    if payee:
        await make_payee(session, merchant_id, promoter.member_id, **payee_values)
    return promoter


async def make_debt(session: AsyncSession, promoter: Participant, amount_minor: int) -> None:
    """A refund of something paid out long ago: a negative row, and a balance that goes down with it."""
    paid = await make_commission(session, promoter, amount_minor, status="held")
    bucket = Leg("member_held", promoter.member_id, -amount_minor), Leg("merchant_commission", None, amount_minor)
    await move(session, promoter.merchant_id, *bucket)
    paid.status = "reversed"
    await make_commission(session, promoter, -amount_minor, reverses=paid)


async def _line(session: AsyncSession, promoter: Participant) -> OrderLine:
    own = promoter.merchant_id
    order = Order(
        merchant_id=own,
        id=ids.new("ord"),
        campaign_id=promoter.campaign_id,
        participant_id=promoter.id,
        member_id=promoter.member_id,
        external_order_id=ids.new("ext"),
        content_hash=crypto.fingerprint("order"),
        amount_minor=5_900,
        refunded_minor=0,
        platform_fee_minor=0,
        currency="CNY",
        paid_at=clock.utcnow(),
        rule_version=1,
        rule=RuleDocument().commission.model_dump(mode="json"),
        explanation=[],
    )
    session.add(order)
    await session.flush()
    line = OrderLine(merchant_id=own, id=ids.new("lin"), order_id=order.id, external_line_id="1", amount_minor=5_900)
    session.add(line)
    await session.flush()
    return line


@asynccontextmanager
async def no_release_for(stack: embedded.Stack, member_id: str) -> AsyncIterator[None]:
    """The database makes none of this member's commissions payable, by a constraint that only the owner could add."""
    owner = await asyncpg.connect(stack.owner_url)
    refused = f"CHECK (status <> 'payable' OR member_id <> '{ids.decode('mbr', member_id)}') NOT VALID"
    await owner.execute(f"ALTER TABLE commissions ADD CONSTRAINT no_release {refused}")
    try:
        yield
    finally:
        await owner.execute("ALTER TABLE commissions DROP CONSTRAINT no_release")
        await owner.close()


async def buckets(session: AsyncSession, promoter: Participant) -> tuple[int, int, int]:
    """Payable, in payout, paid: as the ledger says."""
    found = await ledger.balance(session, merchant_id=promoter.merchant_id, member_id=promoter.member_id)
    return found.payable_minor, found.in_payout_minor, found.paid_minor


async def statuses(session: AsyncSession, promoter: Participant) -> list[str]:
    """Of the member's commissions, oldest first."""
    mine = select(Commission.status).where(Commission.member_id == promoter.member_id).order_by(Commission.id)
    return list((await session.scalars(mine)).all())
