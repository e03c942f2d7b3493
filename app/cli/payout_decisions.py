"""`invitree payouts settle-unknown | settle-refund`: what two people make of money that its provider leaves open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.desk import Desk, dry_run_notice
from app.cli.output import say, show_json, show_table
from app.cli.payout_desk import Data, Execute, Json, Merchant, User, run
from app.merchants import refund_decisions
from app.payouts import decisions

Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the audit log.")]
Evidence = Annotated[str | None, typer.Option("--evidence", help="What shows it: a statement, a case number.")]
Confirm = Annotated[bool, typer.Option("--confirm", help="By another user than asked, and than approved.")]
Step = Callable[..., Awaitable[Any]]
_NAMES = ("outcome", "reason", "evidence", "asked_by", "asked_at", "confirmed_by", "confirmed_at")


def settle_unknown(
    merchant: Merchant,
    payout: Annotated[str, typer.Option("--payout", help="The payout (pay_…).")],
    user: User,
    paid: Annotated[bool, typer.Option("--paid/--failed", help="What the provider's own books say.")],
    reason: Reason = None,
    evidence: Evidence = None,
    confirm: Confirm = False,
    execute: Execute = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Say what became of a payout that its provider tells nothing of. One asks with evidence, another one confirms."""
    what = {"payout_id": payout, "outcome": "paid" if paid else "failed", "actor_id": user}
    step = _step(decisions.ask, decisions.confirm, reason, evidence, confirm=confirm)
    _settle(step, what, merchant, data, confirm=confirm, execute=execute, as_json=as_json)


def settle_refund(
    merchant: Merchant,
    refund: Annotated[str, typer.Option("--refund", help="The refund (rfd_…).")],
    user: User,
    paid_otherwise: Annotated[
        bool, typer.Option("--paid-otherwise/--try-again", help="The buyer has it in another way; or ask anew.")
    ],
    reason: Reason = None,
    evidence: Evidence = None,
    confirm: Confirm = False,
    execute: Execute = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Say what is to become of a refund that its provider refuses, or that no account can carry out any more."""
    what = {"refund_id": refund, "outcome": "paid_otherwise" if paid_otherwise else "try_again", "actor_id": user}
    step = _step(refund_decisions.ask, refund_decisions.confirm, reason, evidence, confirm=confirm)
    _settle(step, what, merchant, data, confirm=confirm, execute=execute, as_json=as_json)


def _step(ask: Step, confirmation: Step, reason: str | None, evidence: str | None, *, confirm: bool) -> Step:
    if confirm:
        return confirmation
    if not (reason and evidence):
        raise typer.BadParameter("asking takes both", param_hint="--reason / --evidence")

    async def asked(*session: Any, **own: Any) -> Any:
        return await ask(*session, **own, reason=reason, evidence=evidence)

    return asked


def _settle(
    step: Step,
    what: dict[str, str],
    merchant: str,
    data: Path | None,
    *,
    confirm: bool,
    execute: bool,
    as_json: bool,
) -> None:
    async def work(desk: Desk) -> dict[str, Any]:
        row = await step(desk.session, merchant_id=desk.merchant_id, **what, now=desk.now)
        subject = {name: value for name, value in what.items() if name.endswith("_id") and name != "actor_id"}
        return {**subject, **{name: getattr(row, name) for name in _NAMES}}

    done = {"executed": execute, **run(work, merchant, data, execute=execute)}
    if as_json:
        show_json(done)
    else:
        rows = [(name, str(value if value is not None else "–")) for name, value in done.items() if name != "executed"]
        show_table("Decision", ["", ""], rows)
    if not execute:
        dry_run_notice()
    elif not confirm:
        say("Nothing has moved: another user looks at the evidence and runs the same command with --confirm.")
