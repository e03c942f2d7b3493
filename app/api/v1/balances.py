from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.deps import TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, CurrencyCode, ListAnswer
from app.api.statements import CSV, StatementDep
from app.ledger import queries
from app.ledger.rules import Bucket
from app.ledger.statement import statement
from app.ledger.views import balance_view, merchant_statement_view, statement_view
from app.referrals.queries import get_member, get_participant

router = make_router("balances")


class BalanceOut(Answer):
    """What stands to a member, by bucket. `payable_minor` may be negative after a refund of what was paid out."""

    object: Literal["balance"]
    member_id: str
    pending_minor: int
    held_minor: int
    payable_minor: int
    in_payout_minor: int
    paid_minor: int
    currency: str
    livemode: bool


class EntryOut(Answer):
    """One movement on a member's account, and the balance of that bucket after it."""

    id: str
    object: Literal["ledger_entry"]
    transaction_id: str
    kind: Annotated[str, Field(examples=["commission_earned"])]
    reference: Annotated[str, Field(description="What caused it: an order, a refund, a withdrawal, a payout.")]
    bucket: Bucket
    amount_minor: int
    balance_minor: int
    fee_minor: Annotated[int, Field(description="Of a payout: what was withheld besides.")]
    currency: str
    occurred_at: datetime
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class MerchantEntryOut(Answer):
    """One movement on an account of the merchant's own, and the balance of that account after it."""

    id: str
    object: Literal["ledger_entry"]
    transaction_id: str
    kind: Annotated[str, Field(examples=["order_paid"])]
    reference: str
    account: Annotated[str, Field(examples=["merchant_proceeds"])]
    amount_minor: int
    balance_minor: int
    currency: str
    occurred_at: datetime
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


class AccountOut(Answer):
    account: str
    currency: str
    opening_minor: int
    closing_minor: int


class StatementOut(ListAnswer[EntryOut]):
    """`accounts`: what stood on each before and after the time asked for; without one, before all and now."""

    accounts: list[AccountOut]


class MerchantStatementOut(ListAnswer[MerchantEntryOut]):
    accounts: list[AccountOut]


@router.get("/participants/{participant_id}/balance", response_model=BalanceOut)
async def participant_balance(participant_id: str, tenant: TenantDep, currency: CurrencyCode = "CNY") -> dict[str, Any]:
    """The balance of the member behind a participant: money belongs to the person, over all campaigns."""
    own = {"merchant_id": tenant.merchant_id}
    participant = await get_participant(tenant.session, **own, participant_id=participant_id)
    found = await queries.balance(tenant.session, **own, member_id=participant.member_id, currency=currency)
    return tenant.show(balance_view(found, member_id=participant.member_id))


@router.get("/members/{member_id}/balance", response_model=BalanceOut)
async def member_balance(member_id: str, tenant: TenantDep, currency: CurrencyCode = "CNY") -> dict[str, Any]:
    """What stands to a member, over all campaigns."""
    own = {"merchant_id": tenant.merchant_id}
    member = await get_member(tenant.session, **own, member_id=member_id)
    found = await queries.balance(tenant.session, **own, member_id=member.id, currency=currency)
    return tenant.show(balance_view(found, member_id=member.id))


@router.get("/members/{member_id}/statement", response_model=StatementOut, responses=CSV)
async def member_statement(member_id: str, tenant: TenantDep, wanted: StatementDep) -> Any:
    """Every movement of a member's money with the running balance, newest first."""
    own = {"merchant_id": tenant.merchant_id}
    member = await get_member(tenant.session, **own, member_id=member_id)
    found = await statement(tenant.session, **own, member_id=member.id, query=wanted.query)
    return wanted.answer(tenant, found, statement_view)


@router.get("/merchant/statement", response_model=MerchantStatementOut, responses=CSV)
async def merchant_statement(tenant: TenantDep, wanted: StatementDep) -> Any:
    """Every movement on the merchant's own accounts with the running balance, newest first."""
    found = await statement(tenant.session, merchant_id=tenant.merchant_id, member_id=None, query=wanted.query)
    return wanted.answer(tenant, found, merchant_statement_view)
