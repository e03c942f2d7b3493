"""A batch by WeChat, whose provider is the sandbox: it carries out and stays silent, loses, rejects, delays."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from app.cli.demo.account import Node
from app.cli.demo.client import DemoError, each
from app.cli.demo.paying import give_account, note_payouts, wechat_account
from app.cli.demo.stage import Stage
from app.kit.money import yuan

PROVIDER = {
    "times_out_bps": 3_500,
    "loses_bps": 1_000,
    "rejects_bps": 1_000,
    "asks_payee_bps": 1_500,
    "confirms_after_seconds": 60,
    "delays_bps": 2_000,
    "delay_seconds": 30,
}
OPEN = ("created", "submitting", "awaiting_payee", "unknown")
NAMES = {"unknown": "未知", "awaiting_payee": "待确认", "submitting": "处理中"}
WAIT_SECONDS = 300
PATIENCE = 90.0


async def prepare(stage: Stage) -> None:
    """Everybody with money takes WeChat from now on; who had no account yet has one."""
    wanted = stage.account.withdrawable()
    payees = [node for node in stage.account.nodes if node.member_id in wanted]

    async def give(numbered: tuple[int, Node]) -> None:
        number, node = numbered
        await give_account(stage, node, wechat_account(10_000 + number))

    with stage.act("微信账户 · WeChat accounts", len(payees)) as done:
        await stage.api.send("PUT", "/v1/payout-rails/sandbox", json=PROVIDER)
        await each(enumerate(payees), give, done)


async def pay_by_provider(stage: Stage) -> None:
    """Built by finance, who may not approve it; approved by the owner, sent, asked after until nothing is open."""
    maker, checker = {"user_id": stage.users["finance"]}, {"user_id": stage.users["owner"]}
    batch = await stage.api.post("/v1/payout-batches", {**maker, "channel": "wechat"})
    path = f"/v1/payout-batches/{batch['id']}"
    if batch["total_minor"] != (wanted := sum(stage.account.withdrawable().values())):
        raise DemoError(f"the batch is of {batch['total_minor']}, expected {wanted}")
    problem = await stage.api.refused(f"{path}/approve", maker)
    if problem["code"] != "maker_is_checker":
        raise DemoError(f"approving one's own batch: {problem['code']}")
    await stage.api.post(f"{path}/approve", checker)
    await stage.api.post(f"{path}/send", maker)
    with stage.act("微信打款 · provider, asked on", batch["payout_count"]) as done:
        seen = await _ask_until_settled(stage, path, done)
    stage.account.spent_minor += await note_payouts(stage, batch["id"])
    on_the_way = "、".join(f"{name} {seen[status]}" for status, name in NAMES.items() if seen[status])
    total = f"{batch['payout_count']} 笔 {yuan(batch['total_minor'])}"
    stage.seen.append(("微信批次 provider batch", f"{total}：{on_the_way or '途中无事'}", "自审被拒；全部问清"))


async def _ask_until_settled(stage: Stage, path: str, done: Callable[[], None]) -> Counter[str]:
    """The most that was seen of each open state. The test clock runs, so that nobody waits for the next question."""
    seen: Counter[str] = Counter()
    settled, until = 0, time.monotonic() + PATIENCE
    while True:
        payouts: dict[str, int] = (await stage.api.get(path))["payouts"]
        seen |= Counter(payouts)
        now_settled = sum(count for status, count in payouts.items() if status not in OPEN)
        for _ in range(now_settled - settled):
            done()
        settled = now_settled
        if settled == sum(payouts.values()):
            return seen
        if time.monotonic() > until:
            raise DemoError(f"the batch is not settled: {payouts}")
        await asyncio.sleep(0.4)
        if not payouts.get("created"):
            await stage.pass_time(WAIT_SECONDS)
