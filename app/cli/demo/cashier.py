"""Sales on the phone's page, paid at the sandbox cashier: told at once, twice, late or wrong; failed; never paid."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace
from datetime import datetime

import httpx

from app.cli.demo.account import Node, Purchase
from app.cli.demo.client import DemoError, each
from app.cli.demo.stage import Stage
from app.orders.providers import sandbox_notices
from app.orders.providers.protocol import Notice, payment_key

WAYS = ("pay", "pay", "pay", "twice", "late", "fail", "never")
ENDS = {"fail": "failed", "never": "expired"}
NAMES = {"pay": "支付", "twice": "通知两次", "late": "延迟", "fail": "失败", "never": "未付"}
TOLD_LATE_AFTER = 60
CHECKOUT_SECONDS = 20 * 60
PATIENCE = 30.0


async def sell(stage: Stage) -> None:
    buyers = stage.rng.sample([node for node in stage.account.nodes if node.invited], len(WAYS))
    with stage.act("收银台 · sandbox cashier", len(WAYS) + 3) as done:
        shopped = list(zip(WAYS, buyers, strict=True))
        checkouts = await each(shopped, lambda pair: _shop(stage, *pair), done)
        told = dict(zip(WAYS, checkouts, strict=True))
        await _tell_again(stage, told["twice"])
        done()
        await stage.pass_time(TOLD_LATE_AFTER)
        await _wait_until_paid(stage, told["late"])
        done()
        await stage.pass_time(CHECKOUT_SECONDS)
        done()
    for (way, node), checkout_id in zip(shopped, checkouts, strict=True):
        stage.account.checkouts[checkout_id] = ENDS.get(way, "paid")
        if way not in ENDS:
            stage.account.purchases.append(Purchase(checkout_id, node, 5_900, stage.fee_bps, in_tool=True))
    ways = "、".join(f"{name} {WAYS.count(way)}" for way, name in NAMES.items())
    stage.seen.append(("收银台 sandbox cashier", ways, f"{len(WAYS) - len(ENDS)} 单；金额不符的通知 409"))


async def _shop(stage: Stage, way: str, node: Node) -> str:
    wish = {"campaign_id": stage.campaign["id"], "participant_id": node.participant_id}
    checkout_id: str = (await stage.api.post("/v1/checkouts", wish))["id"]
    action = way if way in {"late", "fail"} else "pay"
    await press(stage, checkout_id, None if way == "never" else action)
    return checkout_id


async def press(stage: Stage, checkout_id: str, action: str | None) -> None:
    """As a phone does: the page, on to the cashier, and there the button; None leaves it unpressed."""
    page = f"/h5/pay/{checkout_id}"
    await _opened(stage.http.get(page), "确认付款")
    went = await stage.http.post(page)
    await _opened(stage.http.get(went.headers["location"]), "模拟收银台")
    if action is not None:
        await stage.http.post(f"{page}/cashier", data={"action": action})
        shown = {"pay": "支付成功", "fail": "支付未完成", "late": "等待付款结果"}[action]
        await _opened(stage.http.get(page), shown)


async def _opened(asked: Awaitable[httpx.Response], title: str) -> None:
    answer = await asked
    if answer.status_code != 200 or title not in answer.text:
        raise DemoError(f"{answer.url}: {answer.status_code}, without {title}")


async def _tell_again(stage: Stage, checkout_id: str) -> None:
    """As the provider: what it has told already, which changes nothing; and another amount, which is set aside."""
    paid = await stage.api.get(f"/v1/checkouts/{checkout_id}")
    notice = Notice(
        "sandbox",
        stage.merchants[0].test_id,
        payment_key(checkout_id),
        "paid",
        external_id=paid["external_id"],
        amount_minor=paid["amount_minor"],
        currency=paid["currency"],
        paid_at=datetime.fromisoformat(paid["paid_at"]),
    )
    for told, expected in ((notice, 200), (replace(notice, amount_minor=1), 409)):
        headers, body = sandbox_notices.write(told)
        address = f"/v1/payment-notifications/sandbox/{notice.merchant_id}"
        answer = await stage.http.post(address, headers=headers, content=body)
        if answer.status_code != expected:
            raise DemoError(f"POST {address}: {answer.status_code}, expected {expected}")


async def _wait_until_paid(stage: Stage, checkout_id: str) -> None:
    until = time.monotonic() + PATIENCE
    while (await stage.api.get(f"/v1/checkouts/{checkout_id}"))["status"] != "paid":
        if time.monotonic() > until:
            raise DemoError(f"the late notification of {checkout_id} did not come")
        await asyncio.sleep(0.2)
