"""The money at the end: funds, checkouts and fees by the API; providers and the whole ledger by the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from app.cli.demo.client import each
from app.cli.demo.commands import invitree
from app.cli.demo.stage import Stage


async def funds(stage: Stage) -> AsyncIterator[str]:
    account = stage.account
    standing = await stage.api.get("/v1/merchant/funding")
    expected = {
        "funds_minor": account.funds_minor,
        "reserved_minor": 0,
        "spent_minor": account.spent_minor,
        "owed_fees_minor": account.fees_minor,
        "available_minor": account.funds_minor - account.fees_minor,
        "owed_to_promoters_minor": sum(map(account.payable_of, account.nodes)),
    }
    for name, value in expected.items():
        if standing[name] != value:
            yield f"funding {name}: {standing[name]}, expected {value}"


async def checkouts(stage: Stage) -> AsyncIterator[str]:
    rows = await stage.api.all("/v1/checkouts", campaign_id=stage.campaign["id"])
    found = {row["id"]: row["status"] for row in rows}
    if found != stage.account.checkouts:
        yield f"checkouts: {found}, expected {stage.account.checkouts}"
    notices = [row["code"] for row in await stage.api.all("/v1/payment-notices")]
    if notices != ["amount_mismatch"]:
        yield f"notices set aside: {notices}, expected the one of another amount"


async def commands(stage: Stage) -> AsyncIterator[str]:
    """What finance asks on the command line; each names its differences and says so with its exit code."""
    merchant = ("--merchant", stage.merchants[0].test_id)
    asked = (
        ("payouts", "reconcile", *merchant, "--ask"),
        ("payouts", "doctor", *merchant),
        ("ledger", "verify"),
    )
    with stage.act("对账与体检 · reconcile, doctor", len(asked)) as done:
        reconciled, examined, verified = await each(asked, lambda words: invitree(*words), done)
    stage.ledger, totals = verified.said, reconciled.said["totals"]
    figures = f"{totals['payouts']} 笔，问了渠道 {totals['asked']} 笔"
    stage.asked += [
        ("对账 payouts reconcile", figures, _reconciled(reconciled.said)),
        ("体检 payouts doctor", f"卡住 {len(examined.said['stuck'])} 笔", _word(examined.said["stuck"])),
    ]
    for one, name in ((reconciled, "differences"), (examined, "stuck"), (verified, "differences")):
        for fault in one.said[name]:
            yield f"{name}: {fault}"
        if one.code and not one.said[name]:
            yield f"a command of finance ended with {one.code}: {one.said}"
    if totals["unanswered"]:
        yield f"the provider did not tell of {totals['unanswered']} transfers"


def _reconciled(said: dict[str, Any]) -> str:
    untold = len(said["unanswered"]) + len(said["not_asked"])
    return f"渠道未答复 {untold}，未能核对" if untold and not said["differences"] else _word(said["differences"])


def _word(faults: Sequence[object]) -> str:
    return f"差异 {len(faults)}" if faults else "一致 ✓"
