"""Each step of money between two transactions: the process dies before its commit, or before anybody hears of it."""

from __future__ import annotations

from functools import partial

from proofs.sabotage import named
from proofs.sabotage.seams import around, commit, die

_STEPS = {
    "order": "app.orders.service:create",
    "refund": "app.orders.refunds:refund_by_external_ids",
    "withdrawal": "app.payouts.withdrawals:request",
    "approval": "app.payouts.service:approve",
    "export": "app.payouts.exports:export",
    "results": "app.payouts.results:import_results",
}
_RECORD = "app.payouts.carrying:record"

# By the program that they are put into.
API = tuple(f"{step}-{where}" for step in _STEPS for where in ("before-commit", "unanswered"))
WORKER = (
    *("release-before-commit", "release-after-commit", "payout-claimed", "payout-sent"),
    *("payout-outcome-before-commit", "payout-outcome-after-commit"),
)

for _step, _place in _STEPS.items():
    named(f"{_step}-before-commit")(partial(commit, _place, before=die, skip=0))
    named(f"{_step}-unanswered")(partial(commit, _place, after=die, skip=0))

_RELEASE = "app.commissions.holds:release_due"
named("release-before-commit")(lambda: commit(_RELEASE, before=die, skip=0))
named("release-after-commit")(lambda: commit(_RELEASE, after=die, skip=0))
named("payout-claimed")(lambda: around("app.payouts.carrying:unseal", before=die, skip=0))
named("payout-sent")(lambda: around("app.payouts.rails.calls:turn", after=die, skip=0))
named("payout-outcome-before-commit")(lambda: commit(_RECORD, before=die, skip=0))
named("payout-outcome-after-commit")(lambda: commit(_RECORD, after=die, skip=0))
