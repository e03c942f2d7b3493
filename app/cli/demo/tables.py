"""What a person checks by eye at the end of the play."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.cells import cell_len

from app.cli.demo.account import Node
from app.cli.demo.stage import Stage
from app.cli.output import out, show_table
from app.kit.money import yuan

PROMOTERS = 6
PLACE_COLUMN = 24


async def show_all(stage: Stage) -> None:
    stats = await stage.api.get(f"/v1/campaigns/{stage.campaign['id']}/stats")
    _funnel(stats)
    await _promoters(stage)
    await _explained_order(stage)
    _batches(stage)
    show_table("资金 Money", ("经过", "数额", "结果"), stage.seen)
    _books(stage, stats)


def _funnel(stats: dict[str, Any]) -> None:
    steps = (
        ("点击与扫码 clicks + scans", stats["clicks"] + stats["scans"]),
        ("独立访客 unique visitors", stats["unique_visitors"]),
        ("报名 signups", stats["signups"]),
        ("付款订单 paid orders", stats["orders"]),
    )
    rows = [
        (
            name,
            count,
            "" if number == 0 else f"{count / max(1, steps[number - 1][1]):.1%}",
            "█" * _bar(count, steps[0][1]),
        )
        for number, (name, count) in enumerate(steps)
    ]
    show_table("漏斗 Funnel", ("步骤", "数量", "转化", ""), rows)


def _bar(count: int, whole: int) -> int:
    return max(1, round(32 * count / max(1, whole)))


async def _promoters(stage: Stage) -> None:
    best = sorted(stage.account.nodes, key=lambda node: (-stage.account.commission_of(node), node.nickname))[:PROMOTERS]
    rows = [await _promoter(stage, node) for node in best]
    columns = ("推广人", "层级", "好友", "扫码", "会员天数", "佣金", "可提现", "已打款")
    show_table("推广人 Top promoters", columns, rows)


async def _promoter(stage: Stage, node: Node) -> tuple[object, ...]:
    balance = await stage.api.get(f"/v1/participants/{node.participant_id}/balance")
    stats = await stage.api.get(f"/v1/participants/{node.participant_id}/stats")
    account = stage.account
    friends = account.invitees_of(node)
    money = [yuan(amount) for amount in (account.commission_of(node), balance["payable_minor"], balance["paid_minor"])]
    return (node.nickname, node.depth, friends, stats["scans"], account.days_of(node), *money)


async def _explained_order(stage: Stage) -> None:
    """One order with two levels as the API explains it; a partly refunded one where there is one."""
    two_level = [purchase for purchase in stage.account.purchases if len(purchase.earners()) == 2]
    purchase = next((p for p in two_level if 0 < p.refunded_minor < p.amount_minor), two_level[0])
    order = await stage.api.get(f"/v1/orders/{purchase.order_id}")
    names = {node.participant_id: node.nickname for node in stage.account.nodes}
    levels = [_level(order, part, names) for part in order["explanation"]]
    title = (
        f"一笔订单 One order {order['id']}：{purchase.buyer.nickname} 实付 {yuan(order['amount_minor'])}"
        f"，退款 {yuan(order['refunded_minor'])}"
    )
    columns = ("谁", "规则", "基数", "算式（分）", "所得", "扣回", "净得")
    show_table(title, columns, [cells(*share) for share in all_shares(order, levels)])


Share = tuple[str, str, int, str, int, int]


def _level(order: dict[str, Any], part: dict[str, Any], names: dict[str, str]) -> Share:
    amounts = [row["amount_minor"] for row in order["commissions"] if row["level"] == part["level"]]
    who = f"{'一二'[part['level'] - 1]}级 {names.get(part['beneficiary_id'], part['reason'])}"
    earned, taken = sum(a for a in amounts if a > 0), sum(a for a in amounts if a < 0)
    rule = f"{part['rule_key']} v{part['rule_version']} {part['rate_bps'] / 100:g}%"
    return who, rule, part["base_minor"], part["arithmetic"], earned, taken


def all_shares(order: dict[str, Any], levels: list[Share]) -> list[Share]:
    """Promoters, platform and merchant, who together have what the customer paid, and lost what was refunded."""
    paid, fee, bps = order["amount_minor"], order["platform_fee_minor"], order["platform_fee_bps"]
    platform = ("平台", f"服务费 {bps / 100:g}%", paid, f"{paid} × {bps} ÷ 10000 = {fee}", fee)
    shares: list[Share] = [*levels, (*platform, -order["platform_fee_refunded_minor"])]
    rest, back = paid - sum(share[4] for share in shares), -order["refunded_minor"] - sum(share[5] for share in shares)
    minus = " − ".join(str(share[4]) for share in shares)
    shares.append(("商户", "其余", paid, f"{paid} − {minus} = {rest}", rest, back))
    return [*shares, ("合计", "", paid, "", sum(share[4] for share in shares), sum(share[5] for share in shares))]


def cells(who: str, rule: str, base: int, arithmetic: str, earned: int, taken: int) -> tuple[str, ...]:
    return (who, rule, yuan(base), arithmetic, yuan(earned), yuan(taken), yuan(earned + taken))


def _batches(stage: Stage) -> None:
    rows = [
        (
            batch["number"],
            batch["channel"],
            batch["status"],
            batch["payout_count"],
            yuan(batch["total_minor"]),
            yuan(batch["paid_minor"]),
            batch["payouts"].get("failed", 0),
        )
        for batch in stage.batches
    ]
    show_table("打款批次 Payout batches", ("批次号", "渠道", "状态", "笔数", "总额", "已打款", "失败退回"), rows)


def _books(stage: Stage, stats: dict[str, Any]) -> None:
    account, ledger = stage.account, stage.ledger
    counters = (
        ("扫码 scans", "scans", account.scans.total()),
        ("点击 clicks", "clicks", account.clicks.total()),
        ("机器 bot hits", "bot_hits", account.bots.total()),
    )
    looked_at = f"{ledger['orders']} 单 {ledger['transactions']} 凭证 {ledger['entries']} 分录"
    rows = [
        ("账本 ledger verify", looked_at, "一致 ✓" if ledger["ok"] else f"差异 {len(ledger['differences'])}"),
        *stage.asked,
        *(_compared(name, stats[key], count) for name, key, count in counters),
    ]
    show_table("核对 Books", ("项目", "数值", "结果"), rows)


def _compared(name: str, counted: int, sent: int) -> tuple[str, str, str]:
    return (f"{name}：计数 / 实发", f"{counted} / {sent}", "一致 ✓" if counted == sent else f"相差 {counted - sent}")


async def show_places(stage: Stage, base_url: str) -> None:
    """Pages for a phone first; one checkout is left open, to be paid by who looks."""
    node, campaign = stage.account.nodes[0], stage.campaign["id"]
    wish = {"campaign_id": campaign, "participant_id": stage.account.nodes[-1].participant_id}
    to_pay = await stage.api.post("/v1/checkouts", wish)
    paid = next(order_id for order_id, status in stage.account.checkouts.items() if status == "paid")
    rows = [
        ("活动落地页 landing", f"{base_url}/h5/c/{campaign}?code={node.invite_code}"),
        ("报名 join", f"{base_url}/h5/c/{campaign}/join?code={node.invite_code}"),
        ("去付款 pay", to_pay["pay_url"]),
        ("已付款 paid", f"{base_url}/h5/pay/{paid}"),
        ("我的推广 own page", f"{base_url}/h5/me/{node.participant_id}"),
        ("其手机 its phone", node.phone),
        ("商户注册 register", f"{base_url}/h5/r?code={stage.merchants[0].invite_code}"),
        ("邀请链接 invite link", f"{base_url}/i/{node.invite_code}"),
        ("海报 poster", f"{base_url}/p/{node.invite_code}.jpg"),
        ("接口文档 API", f"{base_url}/docs"),
        ("测试密钥 test key", stage.merchants[0].test_key),
        ("海报文件 poster files", str(stage.posters[0].parent)),
        ("海报画廊 gallery", str(stage.gallery)),
    ]
    list_places(rows)


def list_places(rows: Iterable[tuple[str, str]]) -> None:
    """Without a frame: an address that is folded cannot be followed."""
    out.print("去看看 Where to look", style="italic")
    for name, place in rows:
        out.print(f"  {name}{' ' * (PLACE_COLUMN - cell_len(name))}{place}", highlight=False, markup=False)
    out.print()
