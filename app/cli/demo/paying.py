"""Third act: the hold passes, promoters give their accounts, a batch is built, approved, exported, and comes back."""

from __future__ import annotations

import csv
import io
from typing import Any

from app.cli.demo.account import Node
from app.cli.demo.client import each
from app.cli.demo.stage import Stage
from app.kit import clock

HOLD_SECONDS = 8 * 86_400


async def pass_the_hold(stage: Stage) -> None:
    with stage.act("冻结期过去 · test clock", 1) as done:
        await stage.api.post("/v1/test-clock", {"advance_seconds": HOLD_SECONDS})
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
        {"kind": "wechat", "account": f"oGZUI0egBJY1zhBYw2KhdUf{number:05d}"},
    )
    name = "".join(character for character in node.nickname if "一" <= character <= "鿿")
    body = {**accounts[number % 3], "real_name": name}
    await stage.api.post(f"/v1/members/{node.member_id}/payee-accounts", body)


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
        results = _bank(first)
        for _ in range(2):
            await _import(stage, batch["id"], results)
            done()
        stage.batch = await stage.api.get(f"/v1/payout-batches/{batch['id']}")
        await _note_payouts(stage, batch["id"])


async def _export(stage: Stage, batch_id: str) -> bytes:
    answer = await stage.api.send(
        "POST", f"/v1/payout-batches/{batch_id}/export", json={"user_id": stage.users["finance"]}
    )
    return answer.content


def _bank(exported: bytes) -> bytes:
    """The result file that a bank would send back."""
    rows = list(csv.DictReader(io.StringIO(exported.decode("utf-8-sig"))))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["payout_id", "status", "external_id", "reason", "paid_at"])
    now = clock.utcnow().isoformat()
    for number, row in enumerate(rows):
        failed = number == len(rows) - 1
        outcome = ["failed", "", "收款账户不存在", ""] if failed else ["paid", f"BANK{number:08d}", "", now]
        writer.writerow([row["payout_id"], *outcome])
    return out.getvalue().encode()


async def _import(stage: Stage, batch_id: str, results: bytes) -> None:
    await stage.api.send(
        "POST",
        f"/v1/payout-batches/{batch_id}/results",
        files={"file": ("results.csv", results, "text/csv")},
        data={"user_id": stage.users["finance"]},
    )


async def _note_payouts(stage: Stage, batch_id: str) -> None:
    for payout in await stage.api.all("/v1/payouts", batch_id=batch_id):
        if payout["status"] == "paid":
            stage.account.paid_out_minor[payout["member_id"]] += payout["amount_minor"]
