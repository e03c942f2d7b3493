"""What would be paid now, and who would not be, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, String, bindparam, column, exists, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.rows import get_row, one_of
from app.db.types import Id
from app.models import Campaign, Commission, PayeeAccount, Payout, Withdrawal
from app.payouts import rules, terms
from app.payouts.alipay_file import MOST_ROWS, is_plain
from app.payouts.moves import Wish
from app.payouts.queries import LIVE
from app.payouts.rules import Channel, FeeBearer, Reason, Standing, Terms

_MBR, _PAC = Id("mbr"), Id("pac")


@dataclass(frozen=True, slots=True)
class Planned:
    """One payout to come: of a withdrawal that was asked for, or of all that is payable to a member.

    `amount_minor` goes out; `fee_minor` is what the payout costs besides, whoever bears it.
    """

    member_id: str
    payee_account_id: str
    amount_minor: int
    fee_minor: int
    fee_bearer: FeeBearer
    withdrawal: Withdrawal | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    member_id: str
    amount_minor: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Plan:
    """`available_minor`: of a prepaid merchant's funds; None where nothing limits what is paid, or nobody asked."""

    payouts: Sequence[Planned]
    skipped: Sequence[Skipped]
    currency: str
    terms: Terms
    available_minor: int | None = None

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
            AND status = 'payable' AND withdrawal_id IS NULL) c ON true
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


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom a batch is for. `campaign_id` chooses members with a commission of that campaign; each is paid all that is
    payable to them, because a debt from one campaign is taken from what another one earned. `channel` chooses payee
    accounts of that rail; `file` takes all. With `requested_before` it is only for withdrawals that were asked for
    before, and for nobody who has not asked.
    """

    campaign_id: str | None = None
    currency: str = "CNY"
    channel: Channel = "file"
    requested_before: datetime | None = None


async def plan(session: AsyncSession, *, merchant_id: str, choice: Choice, lock: bool = False) -> Plan:
    """`lock` holds the requested withdrawals."""
    if choice.campaign_id is not None:
        await get_row(session, Campaign, merchant_id=merchant_id, row_id=choice.campaign_id, noun="campaign")
    agreed = await terms.get(session, merchant_id=merchant_id)
    requested = await _requested(session, merchant_id, choice, lock=lock)
    payouts = [_of_withdrawal(one) for one in requested if _is_in_time(one, choice)]
    late = [one for one in requested if not _is_in_time(one, choice)]
    skipped = [Skipped(one.member_id, one.amount_minor, "after_cut_off") for one in late]
    if choice.requested_before is None:
        asked = {one.member_id for one in requested}
        for member in await _payable_members(session, merchant_id, choice):
            reason = rules.obstacle(member.standing, minimum_minor=agreed.minimum_minor)
            if reason is None:
                payouts.append(_of_member(member, agreed))
            elif member.member_id not in asked:
                skipped.append(Skipped(member.member_id, member.standing.payable_minor, reason))
    if choice.channel == "alipay":
        payouts, refused = await _writable(session, merchant_id, payouts)
        skipped += refused
        # What is over waits for the next batch: Alipay's template takes no more.
        payouts = payouts[:MOST_ROWS]
    return Plan(payouts, skipped, choice.currency, agreed)


async def _writable(
    session: AsyncSession, merchant_id: str, payouts: Sequence[Planned]
) -> tuple[list[Planned], list[Skipped]]:
    """Without those that Alipay's template cannot hold: one of them would keep all others out of it."""
    account_ids = [one.payee_account_id for one in payouts]
    accounts = await payee_accounts(session, merchant_id=merchant_id, account_ids=account_ids)
    plain = {each.id for each in accounts.values() if is_plain(each.account) and is_plain(each.real_name)}
    refused = [
        Skipped(one.member_id, one.amount_minor, "payee_account_refused")
        for one in payouts
        if one.payee_account_id not in plain
    ]
    return [one for one in payouts if one.payee_account_id in plain], refused


def _is_in_time(withdrawal: Withdrawal, choice: Choice) -> bool:
    return choice.requested_before is None or withdrawal.created_at < choice.requested_before


def _of_withdrawal(one: Withdrawal) -> Planned:
    return Planned(one.member_id, one.payee_account_id, one.net_minor, one.fee_minor, rules.bearer(one.fee_bearer), one)


def _of_member(member: Member, agreed: Terms) -> Planned:
    amount = member.standing.payable_minor
    net, fee = amount - agreed.withheld_of(amount), agreed.fee_of(amount)
    return Planned(member.member_id, member.payee_account_id or "", net, fee, agreed.fee_bearer)


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


async def _requested(session: AsyncSession, merchant_id: str, choice: Choice, *, lock: bool) -> Sequence[Withdrawal]:
    in_a_batch = exists().where(Payout.merchant_id == merchant_id, Payout.withdrawal_id == Withdrawal.id, LIVE)
    statement = select(Withdrawal).where(
        Withdrawal.merchant_id == merchant_id,
        Withdrawal.currency == choice.currency,
        Withdrawal.status == "requested",
        ~in_a_batch,
    )
    if choice.campaign_id is not None:
        of_campaign = (Commission.withdrawal_id == Withdrawal.id) & (Commission.campaign_id == choice.campaign_id)
        statement = statement.where(exists().where(Commission.merchant_id == merchant_id, of_campaign))
    if choice.channel != "file":
        of_channel = (PayeeAccount.id == Withdrawal.payee_account_id) & (PayeeAccount.kind == choice.channel)
        statement = statement.where(exists().where(PayeeAccount.merchant_id == merchant_id, of_channel))
    statement = statement.order_by(Withdrawal.id)
    return (await session.scalars(statement.with_for_update() if lock else statement)).all()


async def _payable_members(session: AsyncSession, merchant_id: str, choice: Choice) -> list[Member]:
    statement = select(Commission.member_id).where(
        Commission.merchant_id == merchant_id, Commission.currency == choice.currency, Commission.status == "payable"
    )
    if choice.campaign_id is not None:
        statement = statement.where(Commission.campaign_id == choice.campaign_id)
    members = (await session.scalars(statement.distinct())).all()
    own: dict[str, Any] = {"merchant_id": merchant_id, "currency": choice.currency}
    return await standings(session, **own, member_ids=members, channel=choice.channel)
