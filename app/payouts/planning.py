"""What would be paid now, and who would not be, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Boolean, String, bindparam, column, exists, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.rows import get_row, one_of
from app.db.types import Id
from app.models import Campaign, Commission, PayeeAccount, Payout, Withdrawal
from app.payouts import rules
from app.payouts.alipay_file import MOST_ROWS
from app.payouts.moves import Wish
from app.payouts.queries import LIVE
from app.payouts.rules import Channel, Reason, Standing

_MBR, _PAC = Id("mbr"), Id("pac")


@dataclass(frozen=True, slots=True)
class Planned:
    """One payout to come: of a withdrawal that was asked for, or of all that is payable to a member."""

    member_id: str
    payee_account_id: str
    amount_minor: int
    withdrawal: Withdrawal | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    member_id: str
    amount_minor: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Plan:
    payouts: Sequence[Planned]
    skipped: Sequence[Skipped]
    currency: str

    @property
    def total_minor(self) -> int:
        return sum(planned.amount_minor for planned in self.payouts)

    @property
    def wishes(self) -> list[Wish]:
        return [Wish(each.member_id, each.payee_account_id) for each in self.payouts if each.withdrawal is None]

    @property
    def requested(self) -> list[Withdrawal]:
        return [planned.withdrawal for planned in self.payouts if planned.withdrawal is not None]


@dataclass(frozen=True, slots=True)
class Member:
    """What stands to one member, and the account chosen last."""

    member_id: str
    standing: Standing
    payee_account_id: str | None


_STANDINGS = (
    text("""
    SELECT wanted.member_id, coalesce(c.total, 0) AS payable_minor, coalesce(a.balance_minor, 0) AS ledger_minor,
        EXISTS (SELECT 1 FROM withdrawals o WHERE o.merchant_id = :merchant_id AND o.member_id = wanted.member_id
            AND o.currency = :currency AND o.status IN ('requested', 'approved', 'in_payout')) AS is_open,
        p.id AS payee_account_id
    FROM unnest(:members) AS wanted (member_id)
    LEFT JOIN LATERAL (SELECT sum(amount_minor)::bigint AS total FROM commissions
        WHERE merchant_id = :merchant_id AND member_id = wanted.member_id AND currency = :currency
            AND status = 'payable') c ON true
    LEFT JOIN ledger_accounts a ON a.merchant_id = :merchant_id AND a.member_id = wanted.member_id
        AND a.currency = :currency AND a.kind = 'member_payable'
    LEFT JOIN LATERAL (SELECT id FROM payee_accounts
        WHERE merchant_id = :merchant_id AND member_id = wanted.member_id
            AND (:kind = 'file' OR kind = :kind) ORDER BY chosen_at DESC, id DESC LIMIT 1) p ON true
    ORDER BY wanted.member_id
""")
    .bindparams(
        bindparam("merchant_id", type_=Id("mch")),
        bindparam("members", type_=ARRAY(_MBR)),
        bindparam("kind", type_=String),
    )
    .columns(
        column("member_id", _MBR),
        column("payable_minor"),
        column("ledger_minor"),
        column("is_open", Boolean),
        column("payee_account_id", _PAC),
    )
)


async def plan(
    session: AsyncSession,
    *,
    merchant_id: str,
    campaign_id: str | None,
    currency: str,
    channel: Channel = "file",
    lock: bool = False,
) -> Plan:
    """`campaign_id` chooses members with a commission of that campaign; each is paid all that is payable to them,
    because a debt from one campaign is taken from what another one earned. `channel` chooses payee accounts of that
    rail; `file` takes all. `lock` holds the requested withdrawals.
    """
    if campaign_id is not None:
        await get_row(session, Campaign, merchant_id=merchant_id, row_id=campaign_id, noun="campaign")
    requested = await _requested(session, merchant_id, campaign_id, currency, channel, lock=lock)
    payouts = [Planned(one.member_id, one.payee_account_id, one.amount_minor, one) for one in requested]
    asked, skipped = {one.member_id for one in requested}, []
    for member in await _payable_members(session, merchant_id, campaign_id, currency, channel):
        reason, amount = rules.obstacle(member.standing), member.standing.payable_minor
        if reason is None and member.payee_account_id is not None:
            payouts.append(Planned(member.member_id, member.payee_account_id, amount))
        elif reason is not None and member.member_id not in asked:
            skipped.append(Skipped(member.member_id, amount, reason))
    if channel == "alipay":
        # What is over waits for the next batch: Alipay's template takes no more.
        payouts = payouts[:MOST_ROWS]
    return Plan(payouts, skipped, currency)


async def standings(
    session: AsyncSession, *, merchant_id: str, currency: str, member_ids: Sequence[str], channel: Channel = "file"
) -> list[Member]:
    found = await session.execute(
        _STANDINGS, {"merchant_id": merchant_id, "currency": currency, "members": list(member_ids), "kind": channel}
    )
    return [
        Member(
            row.member_id,
            Standing(row.payable_minor, row.ledger_minor, row.is_open, row.payee_account_id is not None),
            row.payee_account_id,
        )
        for row in found
    ]


async def payee_accounts(
    session: AsyncSession, *, merchant_id: str, account_ids: Sequence[str]
) -> dict[str, PayeeAccount]:
    statement = select(PayeeAccount).where(
        PayeeAccount.merchant_id == merchant_id, one_of(PayeeAccount.id, account_ids)
    )
    return {account.id: account for account in (await session.scalars(statement)).all()}


async def _requested(
    session: AsyncSession, merchant_id: str, campaign_id: str | None, currency: str, channel: Channel, *, lock: bool
) -> Sequence[Withdrawal]:
    in_a_batch = exists().where(Payout.merchant_id == merchant_id, Payout.withdrawal_id == Withdrawal.id, LIVE)
    statement = select(Withdrawal).where(
        Withdrawal.merchant_id == merchant_id,
        Withdrawal.currency == currency,
        Withdrawal.status == "requested",
        ~in_a_batch,
    )
    if campaign_id is not None:
        of_campaign = (Commission.withdrawal_id == Withdrawal.id) & (Commission.campaign_id == campaign_id)
        statement = statement.where(exists().where(Commission.merchant_id == merchant_id, of_campaign))
    if channel != "file":
        of_channel = (PayeeAccount.id == Withdrawal.payee_account_id) & (PayeeAccount.kind == channel)
        statement = statement.where(exists().where(PayeeAccount.merchant_id == merchant_id, of_channel))
    statement = statement.order_by(Withdrawal.id)
    return (await session.scalars(statement.with_for_update() if lock else statement)).all()


async def _payable_members(
    session: AsyncSession, merchant_id: str, campaign_id: str | None, currency: str, channel: Channel
) -> list[Member]:
    statement = select(Commission.member_id).where(
        Commission.merchant_id == merchant_id, Commission.currency == currency, Commission.status == "payable"
    )
    if campaign_id is not None:
        statement = statement.where(Commission.campaign_id == campaign_id)
    members = (await session.scalars(statement.distinct())).all()
    own: dict[str, Any] = {"merchant_id": merchant_id, "currency": currency}
    return await standings(session, **own, member_ids=members, channel=channel)
