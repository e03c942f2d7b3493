"""Which account a transfer is asked after with: the one it was sent with, or none at all."""

from __future__ import annotations

from dataclasses import replace

from app.payouts.carrying import Claim
from app.payouts.rails import credentials
from app.payouts.rails.credentials import Settings

SANDBOX = "sandbox"


def with_its_account(claim: Claim, older: Settings | None) -> Claim | None:
    """The claim with credentials of the account it was sent with: the merchant's own, or the `older` ones.

    None where neither is that account. Another one would be told that there is no such transfer.
    """
    if claim.rail == SANDBOX or _is_own(claim):
        return claim
    if older is None or credentials.kind_of(older) != claim.rail:
        return None
    row = credentials.as_row(credentials.kind_of(older), older, merchant_id=claim.merchant_id, now=claim.now)
    return replace(claim, credentials=row) if credentials.account_of(row) == claim.sent_with else None


def _is_own(claim: Claim) -> bool:
    row = claim.credentials
    if row is None:
        return False
    if claim.sent_with is not None:
        return credentials.account_of(row) == claim.sent_with
    # Not written down for what was sent before it was: then only credentials that are older than the transfer are its.
    return claim.sent_at is not None and row.changed_at <= claim.sent_at
