"""The proofs by name, in the order in which they run."""

from __future__ import annotations

from proofs import (
    commission_split,
    crash_points,
    fuzz,
    kill,
    ledger_machine,
    payout,
    posters,
    race_signup,
    race_withdraw,
    redis_away,
    refund_order,
    seeded_bugs,
    tenants,
)
from proofs.frame.command import Entry
from proofs.frame.report import Finding

PROOFS: tuple[Entry[Finding], ...] = (
    fuzz.PROOF,
    race_signup.PROOF,
    tenants.PROOF,
    kill.PROOF,
    redis_away.PROOF,
    crash_points.PROOF,
    seeded_bugs.PROOF,
    posters.PROOF,
    payout.PROOF,
    ledger_machine.PROOF,
    race_withdraw.PROOF,
    refund_order.PROOF,
    commission_split.PROOF,
)
