from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import status
from pydantic import ConfigDict, Field

from app.api.deps import MovesMoney, PageDep, TenantDep
from app.api.router import make_router
from app.api.schemas import Answer, Body, CurrencyCode, ListAnswer, NonNegativeMinor, type_id
from app.payouts import queries, withdrawals
from app.payouts.rules import Reason
from app.payouts.views import quote_view, withdrawal_view

router = make_router("withdrawals")

Status = Literal["requested", "approved", "rejected", "in_payout", "paid", "failed", "cancelled"]


class WithdrawalIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"member_id": "mbr_01h2xcejqtf2nbrexx3vqjhp41"}]})

    member_id: Annotated[str, type_id("mbr")]
    payee_account_id: Annotated[
        Annotated[str, type_id("pac")] | None, Field(description="Without it: the account saved last.")
    ] = None
    currency: CurrencyCode = "CNY"
    fee_minor: Annotated[
        NonNegativeMinor | None,
        Field(description="The fee that the member was shown: refused with `fee_changed` where it is another by now."),
    ] = None


class QuoteOut(Answer):
    """What would come of a withdrawal now; `obstacle` is why there would be none."""

    object: Literal["withdrawal_quote"]
    member_id: str
    amount_minor: int
    fee_minor: Annotated[int, Field(description="Withheld from the payee; 0 where the merchant bears the fee.")]
    net_minor: Annotated[int, Field(description="What goes out.")]
    minimum_minor: int
    currency: str
    obstacle: Reason | None
    livemode: bool


class WithdrawalOut(Answer):
    """All commissions that were payable at one moment; they name it in `withdrawal_id`."""

    id: str
    object: Literal["withdrawal"]
    member_id: str
    payee_account_id: str
    amount_minor: int
    fee_minor: Annotated[int, Field(description="Withheld from the payee, as agreed when it was asked for.")]
    net_minor: Annotated[int, Field(description="What goes out.")]
    currency: str
    status: Status
    metadata: dict[str, Any]
    created_at: datetime
    livemode: bool


@router.post(
    "/withdrawals",
    response_model=WithdrawalOut,
    status_code=status.HTTP_201_CREATED,
    dependencies=[MovesMoney],
)
async def request_withdrawal(body: WithdrawalIn, tenant: TenantDep) -> dict[str, Any]:
    """Ask for all that is payable to a member now; one withdrawal at a time, and the merchant's minimum at least."""
    withdrawal = await withdrawals.request(
        tenant.session, merchant_id=tenant.merchant_id, now=tenant.now, **body.model_dump()
    )
    return tenant.show(withdrawal_view(withdrawal))


@router.get("/members/{member_id}/withdrawal-quote", response_model=QuoteOut)
async def quote_withdrawal(member_id: str, tenant: TenantDep, currency: CurrencyCode = "CNY") -> dict[str, Any]:
    """What a withdrawal of all that is payable would bring now, to be shown before it is asked for."""
    own = {"merchant_id": tenant.merchant_id, "member_id": member_id, "currency": currency}
    found = await withdrawals.quote(tenant.session, **own)
    return tenant.show(quote_view(found, member_id=member_id, currency=currency))


@router.get("/withdrawals", response_model=ListAnswer[WithdrawalOut])
async def list_withdrawals(
    tenant: TenantDep,
    page: PageDep,
    status: Status | None = None,
    member_id: Annotated[str, type_id("mbr")] | None = None,
) -> dict[str, Any]:
    """Withdrawals, newest first."""
    query = page.filtered(status=status, member_id=member_id)
    found = await queries.withdrawals_page(tenant.session, merchant_id=tenant.merchant_id, query=query)
    return tenant.show_page(found, withdrawal_view)


@router.get("/withdrawals/{withdrawal_id}", response_model=WithdrawalOut)
async def get_withdrawal(withdrawal_id: str, tenant: TenantDep) -> dict[str, Any]:
    """One withdrawal."""
    found = await queries.get_withdrawal(tenant.session, merchant_id=tenant.merchant_id, withdrawal_id=withdrawal_id)
    return tenant.show(withdrawal_view(found))


@router.post("/withdrawals/{withdrawal_id}/cancel", response_model=WithdrawalOut, dependencies=[MovesMoney])
async def cancel_withdrawal(withdrawal_id: str, tenant: TenantDep) -> dict[str, Any]:
    """Until its payout is exported or sent: the commissions are payable again."""
    cancelled = await withdrawals.cancel(
        tenant.session, merchant_id=tenant.merchant_id, withdrawal_id=withdrawal_id, now=tenant.now
    )
    return tenant.show(withdrawal_view(cancelled))
