"""How payouts look at a terminal, and where their files go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape

from app.cli.output import say, show_table
from app.kit import clock
from app.kit.money import yuan

SHOWN = 50

_WHY = {
    "withdrawal_open": "another withdrawal is under way",
    "ledger_disagrees": "ledger and commissions differ: reconcile",
    "negative_balance": "refunds took more than was earned",
    "nothing_payable": "earned and refunded come to nothing",
    "below_minimum": "less than the minimum",
    "payee_account_missing": "no payee account for this channel",
    "payee_account_refused": "the account or its name begins as a formula does: have it corrected",
    "after_cut_off": "asked for after the cut-off",
}


def show_plan(plan: dict[str, Any]) -> None:
    rows = [
        (
            one["member_id"],
            one["channel"],
            one["account"],
            one["real_name"],
            yuan(one["amount_minor"]),
            f"{yuan(one['fee_minor'])} ({one['fee_bearer']})" if one["fee_minor"] else "–",
        )
        for one in plan["payouts"]
    ]
    show_first("To be paid", ["member", "channel", "account", "name", plan["currency"], "fee (borne by)"], rows)
    fees = f", fees of {yuan(plan['fees_minor'])}" if plan["fees_minor"] else ""
    say(f"{plan['count']} payouts, {yuan(plan['total_minor'])} {plan['currency']} in all{fees}.")
    if (available := plan["available_minor"]) is not None:
        short = plan["total_minor"] + plan["fees_minor"] - available
        say(f"Of the funds {yuan(available)} is available{f': {yuan(short)} too little' if short > 0 else ''}.")
    if plan["requested_before"]:
        say(f"Asked for before {clock.shanghai(plan['requested_before']):%Y-%m-%d %H:%M} in China.")


def show_skipped(skipped: Sequence[dict[str, Any]]) -> None:
    if skipped:
        rows = [(one["member_id"], yuan(one["amount_minor"]), _WHY[one["reason"]]) for one in skipped]
        show_first("Skipped", ["member", "balance", "why"], rows)


def show_batch(batch: dict[str, Any]) -> None:
    row = (batch["id"], batch["number"], batch["status"], batch["payout_count"], yuan(batch["total_minor"]))
    show_first("Payout batch", ["batch", "number", "status", "payouts", batch["currency"]], [row])


def show_results(done: dict[str, Any]) -> None:
    names = ["paid", "failed", "unchanged", "open"]
    show_first("Results", [*names, "refused"], [[*(done[name] for name in names), len(done["refused"])]])
    _show_refused(done["refused"])


def _show_refused(refused: Sequence[dict[str, Any]]) -> None:
    if refused:
        rows = [(one["line"], one["payout_id"], one["code"], one["detail"]) for one in refused]
        show_first("Rows not followed", ["line", "payout", "code", "why"], rows)


def show_report(report: dict[str, Any]) -> None:
    totals = report["totals"]
    shown = [yuan(value) if name.endswith("_minor") else value for name, value in totals.items()]
    show_first("Compared", [name.removesuffix("_minor").replace("_", " ") for name in totals], [shown])
    _show_untold(report)
    if report["ok"]:
        say("Payouts, withdrawals, commissions and the ledger agree.")
        return
    if not (report["differences"] or report["refused"]):
        say("No difference was found in what could be compared, which is not all: this is not agreed.")
        return
    rows = [
        (one["code"], one["check"], one["subject_id"], one["expected"], one["found"]) for one in report["differences"]
    ]
    show_first("Differences", ["code", "check", "subject", "expected", "found"], rows)
    _show_refused(report["refused"])


def _show_untold(report: dict[str, Any]) -> None:
    silent, lost = report.get("unanswered", []), report.get("not_asked", [])
    rows = [(one, "its provider gave no answer") for one in silent]
    rows += [(one, "sent with another account than the one that is set: not asked after") for one in lost]
    if rows:
        show_first("Not known", ["payout", "why"], rows)
    if lost:
        say("Give its credentials with --credentials FILE; another account would be told that there is no transfer.")


def show_stuck(stuck: Sequence[dict[str, Any]]) -> None:
    rows = [
        (
            one["check"],
            one["subject_id"],
            f"{one['since']:%Y-%m-%d %H:%M}",
            _age(one["hours"]),
            yuan(one["amount_minor"]),
            one["waits_for"],
        )
        for one in stuck
    ]
    show_first("Stuck", ["what", "subject", "since (UTC)", "for", "amount", "waits for"], rows)


def _age(hours: int) -> str:
    return f"{hours // 24} d {hours % 24} h" if hours >= 24 else f"{hours} h"


def target(out: Path | None, name: str) -> Path:
    """The file to write: `out`, or `name` in it where it is a folder."""
    path = out or Path()
    path = path / name if path.is_dir() else path
    if not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}", param_hint="--out")
    return path


def say_file(file: dict[str, Any], *, written: bool) -> None:
    say(f"{'Written' if written else 'Would be written'}: {escape(file['path'])} (SHA-256 {file['sha256']})")


def say_left_out(payout_ids: Sequence[str]) -> None:
    say(f"Left out of the file, as their account or name begins as a formula does: {', '.join(payout_ids)}")


def show_first(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """The first rows, with a word on those left out; `--json` has all."""
    shown = [[cell if isinstance(cell, int) else escape(str(cell)) for cell in row] for row in rows[:SHOWN]]
    show_table(title, columns, shown)
    if len(rows) > SHOWN:
        say(f"… and {len(rows) - SHOWN} more; --json shows all.")
