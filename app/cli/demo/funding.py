"""What a merchant buys of the platform: a plan with a lower fee, and funds that its promoters are paid out of."""

from __future__ import annotations

from app.cli.demo.account import FEES
from app.cli.demo.cashier import press
from app.cli.demo.client import DemoError
from app.cli.demo.commands import invitree
from app.cli.demo.stage import Stage
from app.kit.money import yuan

PLAN = "pro_month"


async def buy_plan(stage: Stage) -> None:
    with stage.act("购买套餐 · plan", 2) as done:
        checkout = await stage.api.post("/v1/merchant/plan", {"plan": PLAN})
        done()
        await press(stage, checkout["id"], "pay")
        own = await stage.api.get("/v1/merchant")
        if (own["plan"], own["platform_fee_bps"]) != (PLAN, FEES[PLAN]):
            raise DemoError(f"the plan is {own['plan']} at {own['platform_fee_bps']} bps after buying {PLAN}")
    before, stage.fee_bps = stage.fee_bps, FEES[PLAN]
    fees = f"平台费 {before / 100:.2f}% → {stage.fee_bps / 100:.2f}%"
    stage.seen.append(("套餐 plan", f"{PLAN}，{yuan(checkout['amount_minor'])} 元", fees))


async def prepay(stage: Stage) -> None:
    """From now on promoters are paid out of what was paid in: the platform says so, on its command line."""
    with stage.act("预存模式 · prepaid", 1):
        people = (await invitree("merchants", "users", "--add", "平台财务", "--role", "finance")).said
        whose, who = ("--merchant", stage.merchants[0].test_id), ("--as", people[0]["id"])
        words = (*whose, "--mode", "prepaid", *who, "--execute")
        answered = await invitree("merchants", "funding", *words)
        if answered.code or answered.said["funding"]["mode"] != "prepaid":
            raise DemoError(f"merchants funding: {answered}")


async def fund(stage: Stage) -> None:
    """A batch above the funds is refused, until what is missing is paid in."""
    wanted = sum(stage.account.withdrawable().values())
    with stage.act("充值 · top-up", 2) as done:
        available = (await stage.api.get("/v1/merchant/funding"))["available_minor"]
        body = {"user_id": stage.users["finance"], "channel": "wechat"}
        problem = await stage.api.refused("/v1/payout-batches", body)
        if problem["code"] != "funds_insufficient":
            raise DemoError(f"a batch of {wanted} with {available} available: {problem['code']}")
        done()
        amount = -(-(wanted - available) // 100) * 100
        checkout = await stage.api.post("/v1/merchant/top-ups", {"amount_minor": amount, "currency": "CNY"})
        await press(stage, checkout["id"], "pay")
        stage.account.topped_up_minor += amount
        done()
    figures = f"要 {yuan(wanted)}，可用 {yuan(available)}"
    stage.seen.append(("超额批次 above the funds", figures, f"被拒 {problem['code']}"))
    left = (await stage.api.get("/v1/merchant/funding"))["available_minor"]
    stage.seen.append(("充值 top-up", f"{yuan(amount)} 元", f"可用 {yuan(left)}"))
