"""Third act: the hold passes, promoters give their accounts, a batch is built, approved, exported, and comes back."""

from __future__ import annotations

import csv
import io
from typing import Any

from app.cli.demo.account import Node
from app.cli.demo.client import each
from app.cli.demo.stage import Stage
from app.kit import ids

HOLD_SECONDS = 8 * 86_400


async def pass_the_hold(stage: Stage) -> None:
    with stage.act("冻结期过去 · test clock", 1) as done:
        await stage.pass_time(HOLD_SECONDS)
        done()


async def give_accounts(stage: Stage) -> None:
    """All but one of those who earned; the one is skipped by the batch, with the reason named."""
    earners = [node for node in stage.account.nodes if stage.account.commission_of(node) > 0]
    with stage.act("收款账户 · payee accounts", len(earners) - 1) as done:
        await each(enumerate(earners[:-1]), lambda numbered: _give(stage, *numbered), done)


async def _give(stage: Stage, number: int, node: Node) -> None:
    accounts: tuple[dict[str, Any], ...] = (
        {"kind": "alipay", "account": f"138{number:08d}"},
        {"kind": "bank", "account": f"62220200{number:08d}", "bank_name": "招商银行"},
        wechat_account(number),
    )
    await give_account(stage, node, accounts[number % 3])


def wechat_account(number: int) -> dict[str, Any]:
    return {"kind": "wechat", "account": f"oGZUI0egBJY1zhBYw2KhdUf{number:05d}"}


async def give_account(stage: Stage, node: Node, account: dict[str, Any]) -> None:
    name = "".join(character for character in node.nickname if "一" <= character <= "鿿")
    await stage.api.post(f"/v1/members/{node.member_id}/payee-accounts", {**account, "real_name": name})


async def pay_out(stage: Stage) -> None:
    """Built by finance, approved by the owner; the bank pays all but one, whose account it does not know."""
    with stage.act("打款批次 · payout batch", 5) as done:
        batch = await stage.api.post(
            "/v1/payout-batches", {"user_id": stage.users["finance"], "campaign_id": stage.campaign["id"]}
        )
        done()
        await stage.api.post(f"/v1/payout-batches/{batch['id']}/approve", {"user_id": stage.users["owner"]})
        done()
        first, again = [await _export(stage, batch["id"]) for _ in range(2)]
        assert first == again, "exporting again gave other bytes"  # noqa: S101  # the play stops where a promise breaks
        (stage.folder / f"{batch['number']}.csv").write_bytes(first)
        done()
        results = _bank(first, stage.now.isoformat())
        for _ in range(2):
            await _import(stage, batch["id"], results)
            done()
        await note_payouts(stage, batch["id"])


async def _export(stage: Stage, batch_id: str) -> bytes:
    answer = await stage.api.send(
        "POST", f"/v1/payout-batches/{batch_id}/export", json={"user_id": stage.users["finance"]}
    )
    return answer.content


def _bank(exported: bytes, paid_at: str) -> bytes:
    """The result file that a bank would send back."""
    rows = list(csv.DictReader(io.StringIO(exported.decode("utf-8-sig"))))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["payout_id", "status", "external_id", "reason", "paid_at"])
    for number, row in enumerate(rows):
        failed = number == len(rows) - 1
        outcome = ["failed", "", "收款账户不存在", ""] if failed else ["paid", f"BANK{number:08d}", "", paid_at]
        writer.writerow([row["payout_id"], *outcome])
    return out.getvalue().encode()


async def _import(stage: Stage, batch_id: str, results: bytes) -> None:
    await stage.api.send(
        "POST",
        f"/v1/payout-batches/{batch_id}/results",
        files={"file": ("results.csv", results, "text/csv")},
        data={"user_id": stage.users["finance"]},
        headers={"Idempotency-Key": ids.new("req")},
    )


async def note_payouts(stage: Stage, batch_id: str) -> int:
    """Into the play's own account; what was paid in all."""
    payouts = await stage.api.all("/v1/payouts", batch_id=batch_id)
    paid = [payout for payout in payouts if payout["status"] == "paid"]
    for payout in paid:
        stage.account.paid_out_minor[payout["member_id"]] += payout["amount_minor"]
    total: int = sum(payout["amount_minor"] for payout in paid)
    stage.batches.append({**await stage.api.get(f"/v1/payout-batches/{batch_id}"), "paid_minor": total})
    return total
