"""Payee accounts, withdrawals, payouts and batches as the API shows them: accounts and names masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.kit import people
from app.models import PaybackDecision, PayeeAccount, Payout, PayoutBatch, PayoutDecision, Withdrawal
from app.payouts import payees
from app.payouts.planning import Planned, Skipped
from app.payouts.withdrawals import Quote


def payee_account_view(account: PayeeAccount) -> dict[str, Any]:
    return {
        "id": account.id,
        "object": "payee_account",
        "member_id": account.member_id,
        "kind": account.kind,
        "account": payees.mask(account.kind, account.account),
        "real_name": people.mask_name(account.real_name),
        "bank_name": account.bank_name,
        "metadata": {},
        "created_at": account.created_at,
    }


def withdrawal_view(withdrawal: Withdrawal) -> dict[str, Any]:
    return {
        "id": withdrawal.id,
        "object": "withdrawal",
        "member_id": withdrawal.member_id,
        "payee_account_id": withdrawal.payee_account_id,
        "amount_minor": withdrawal.amount_minor,
        "fee_minor": withdrawal.withheld_minor,
        "net_minor": withdrawal.net_minor,
        "currency": withdrawal.currency,
        "status": withdrawal.status,
        "metadata": {},
        "created_at": withdrawal.created_at,
    }


def quote_view(quote: Quote, *, member_id: str, currency: str) -> dict[str, Any]:
    return {
        "object": "withdrawal_quote",
        "member_id": member_id,
        "amount_minor": max(quote.standing.payable_minor, 0),
        "fee_minor": quote.withheld_minor,
        "net_minor": quote.net_minor,
        "minimum_minor": quote.terms.minimum_minor,
        "currency": currency,
        "obstacle": quote.obstacle,
    }


def payout_view(payout: Payout, commission_ids: Sequence[str]) -> dict[str, Any]:
    return {
        "id": payout.id,
        "object": "payout",
        "batch_id": payout.batch_id,
        "withdrawal_id": payout.withdrawal_id,
        "member_id": payout.member_id,
        "payee_account_id": payout.payee_account_id,
        "amount_minor": payout.amount_minor,
        "currency": payout.currency,
        "status": payout.status,
        "external_id": payout.external_id,
        "reason": payout.reason,
        "rail": payout.rail,
        "package_info": payout.package_info,
        "cancel_asked_at": payout.cancel_asked_at,
        "paid_at": payout.paid_at,
        "commission_ids": list(commission_ids),
        "metadata": {},
        "created_at": payout.created_at,
    }


def skipped_view(skipped: Skipped) -> dict[str, Any]:
    return {"member_id": skipped.member_id, "amount_minor": skipped.amount_minor, "reason": skipped.reason}


def planned_view(planned: Planned, account: PayeeAccount, currency: str) -> dict[str, Any]:
    return {
        "member_id": planned.member_id,
        "payee_account_id": account.id,
        "channel": account.kind,
        "account": payees.mask(account.kind, account.account),
        "real_name": people.mask_name(account.real_name),
        "amount_minor": planned.amount_minor,
        "fee_minor": planned.fee_minor,
        "fee_bearer": planned.fee_bearer,
        "currency": currency,
        "requested": planned.withdrawal is not None,
    }


def batch_view(batch: PayoutBatch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "object": "payout_batch",
        "number": batch.number,
        "channel": batch.channel,
        "campaign_id": batch.campaign_id,
        "requested_before": batch.requested_before,
        "status": batch.status,
        "payout_count": batch.payout_count,
        "total_minor": batch.total_minor,
        "currency": batch.currency,
        "built_by": batch.built_by,
        "approved_by": batch.approved_by,
        "approved_at": batch.approved_at,
        "exported_at": batch.exported_at,
        "sent_at": batch.sent_at,
        "settled_at": batch.settled_at,
        "metadata": {},
        "created_at": batch.created_at,
    }


def decision_view(decision: PayoutDecision | PaybackDecision) -> dict[str, Any]:
    """By the id of what is decided on: there is one of each."""
    return {
        "id": decision.subject_id,
        "object": f"{decision.noun}_decision",
        "outcome": decision.outcome,
        "reason": decision.reason,
        "evidence": decision.evidence,
        "asked_by": decision.asked_by,
        "confirmed_by": decision.confirmed_by,
        "confirmed_at": decision.confirmed_at,
        "metadata": {},
        "created_at": decision.asked_at,
    }
