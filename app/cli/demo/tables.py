"""What a person checks by eye at the end of the play."""

from __future__ import annotations

from typing import Any

from app.cli.demo.account import Node
from app.cli.demo.stage import Stage
from app.cli.output import out, show_table
from app.kit.money import yuan
from app.ledger.verify import Report


async def show_all(stage: Stage, report: Report) -> None:
    stats = await stage.api.get(f"/v1/campaigns/{stage.campaign['id']}/stats")
    _funnel(stats)
    await _promoters(stage)
    await _explained_order(stage)
    _batch(stage)
    _ledger(stage, stats, report)


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
    best = sorted(stage.account.nodes, key=lambda node: (-stage.account.commission_of(node), node.nickname))[:8]
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
    rows = [_level(order, part, names) for part in order["explanation"]]
    title = (
        f"一笔订单 One order {order['id']}：{purchase.buyer.nickname} 实付 {yuan(order['amount_minor'])}"
        f"，退款 {yuan(order['refunded_minor'])}"
    )
    show_table(title, ("级别", "受益人", "规则", "算式（分）", "佣金", "退款扣回", "净得"), rows)


def _level(order: dict[str, Any], part: dict[str, Any], names: dict[str, str]) -> tuple[object, ...]:
    amounts = [row["amount_minor"] for row in order["commissions"] if row["level"] == part["level"]]
    earned, taken = sum(a for a in amounts if a > 0), sum(a for a in amounts if a < 0)
    who = names.get(part["beneficiary_id"], part["reason"])
    rule = f"{part['rule_key']} v{part['rule_version']}"
    return (part["level"], who, rule, part["arithmetic"], yuan(earned), yuan(taken), yuan(earned + taken))


def _batch(stage: Stage) -> None:
    batch, paid = stage.batch, stage.account.paid_out_minor.total()
    row = (batch["number"], batch["status"], batch["payout_count"], yuan(batch["total_minor"]), yuan(paid))
    show_table("打款批次 Payout batch", ("批次号", "状态", "笔数", "总额", "已打款"), [row])


def _ledger(stage: Stage, stats: dict[str, Any], report: Report) -> None:
    account = stage.account
    counters = (
        ("扫码 scans", "scans", account.scans.total()),
        ("点击 clicks", "clicks", account.clicks.total()),
        ("机器 bot hits", "bot_hits", account.bots.total()),
    )
    rows = [
        ("账本凭证 ledger transactions", report.transactions, "借贷相抵 0" if report.clean else "有差异"),
        ("账本分录 ledger entries", report.entries, f"差异 {len(report.differences)}"),
        *(_compared(name, stats[key], count) for name, key, count in counters),
    ]
    show_table("核对 Books", ("项目", "数值", "结果"), rows)


def _compared(name: str, counted: int, sent: int) -> tuple[str, str, str]:
    return (f"{name}：计数 / 实发", f"{counted} / {sent}", "一致 ✓" if counted == sent else f"相差 {counted - sent}")


def show_places(stage: Stage, base_url: str) -> None:
    node, campaign = stage.account.nodes[0], stage.campaign["id"]
    rows = [
        ("活动落地页 landing", f"{base_url}/h5/c/{campaign}?code={node.invite_code}"),
        ("报名 join", f"{base_url}/h5/c/{campaign}/join?code={node.invite_code}"),
        ("商户注册 register", f"{base_url}/h5/r?code={stage.merchants[0].invite_code}"),
        ("邀请链接 invite link", f"{base_url}/i/{node.invite_code}"),
        ("海报 poster", f"{base_url}/p/{node.invite_code}.jpg"),
        ("接口文档 API", f"{base_url}/docs"),
        ("测试密钥 test key", stage.merchants[0].test_key),
        ("海报文件 poster files", str(stage.posters[0].parent)),
        ("海报画廊 gallery", str(stage.gallery)),
    ]
    show_table("去看看 Where to look", ("", ""), rows)
    out.print()
