"""Payee accounts: where a member is paid."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.db.rows import get_row
from app.kit import ids
from app.kit.errors import Conflict
from app.models import Member, Participant, PayeeAccount
from app.payouts import payees, queries
from app.settings import get_keyring

# Of two who give the same account at once the second one sees the first.
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('payee_account:' || :account, 0))")


async def save(
    session: AsyncSession,
    *,
    merchant_id: str,
    member_id: str,
    kind: payees.Kind,
    account: str,
    real_name: str,
    bank_name: str | None = None,
    now: datetime,
) -> tuple[PayeeAccount, bool]:
    """The account and whether it is new. Saved again it stays the same row, chosen anew, with names corrected
    where they differ. Conflict `payee_account_of_invite` where it is that of who earns by this member, or by whom this
    member earns.
    """
    await get_row(session, Member, merchant_id=merchant_id, row_id=member_id, noun="member")
    normal, name = payees.normalise_account(kind, account), payees.normalise_name(real_name)
    index = account_index(kind, normal)
    row = {
        "merchant_id": merchant_id,
        "id": ids.new("pac"),
        "member_id": member_id,
        "kind": kind,
        "account": normal,
        "account_index": index,
        "real_name": name,
        "bank_name": bank_name,
        "chosen_at": now,
        "created_at": now,
    }
    await _require_own(session, merchant_id, member_id, kind, index)
    new_id = await session.scalar(insert(PayeeAccount).values(row).on_conflict_do_nothing().returning(PayeeAccount.id))
    saved = await _find(session, merchant_id, member_id, kind, row["account_index"])
    if new_id is None:
        await _correct(session, saved, name, bank_name)
        saved.chosen_at = now
        await session.flush()
    return saved, new_id is not None


def account_index(kind: str, normal: str) -> bytes:
    """Equal for equal accounts, whoever's they are: two members paid to one account are a reason to look closer."""
    return get_keyring().blind_index("payee_account.account", f"{kind}:{normal}")


async def _require_own(session: AsyncSession, merchant_id: str, member_id: str, kind: str, index: bytes) -> None:
    """One account for who buys and who earns by it is a self-invite that came to light late; others may share one."""
    await session.execute(_ALONE, {"account": f"{merchant_id}:{index.hex()}"})
    one, other = aliased(Participant), aliased(Participant)
    earns = or_(other.inviter_id == one.id, other.second_inviter_id == one.id)
    pairs = (
        select(PayeeAccount.id)
        .join(one, one.merchant_id == PayeeAccount.merchant_id)
        .join(other, (other.merchant_id == one.merchant_id) & (other.campaign_id == one.campaign_id) & earns)
        .where(
            PayeeAccount.merchant_id == merchant_id,
            PayeeAccount.kind == kind,
            PayeeAccount.account_index == index,
            PayeeAccount.member_id != member_id,
        )
    )
    above = pairs.where(one.member_id == PayeeAccount.member_id, other.member_id == member_id)
    below = pairs.where(one.member_id == member_id, other.member_id == PayeeAccount.member_id)
    if await session.scalar(above.union_all(below).limit(1)) is not None:
        raise Conflict(
            "payee_account_of_invite",
            "The account is that of this member's inviter or friend: each needs an account of their own.",
        )


async def _find(
    session: AsyncSession, merchant_id: str, member_id: str, kind: str, index: bytes | str | datetime | None
) -> PayeeAccount:
    statement = select(PayeeAccount).where(
        PayeeAccount.merchant_id == merchant_id,
        PayeeAccount.member_id == member_id,
        PayeeAccount.kind == kind,
        PayeeAccount.account_index == index,
    )
    return (await session.scalars(statement.with_for_update())).one()


async def _correct(session: AsyncSession, account: PayeeAccount, real_name: str, bank_name: str | None) -> None:
    if (account.real_name, account.bank_name) == (real_name, bank_name or account.bank_name):
        return
    if await queries.is_in_use(session, merchant_id=account.merchant_id, payee_account_id=account.id):
        raise Conflict("payee_account_in_use", "A payout to this account is under way: correct it afterwards.")
    account.real_name, account.bank_name = real_name, bank_name or account.bank_name
    await session.flush()
