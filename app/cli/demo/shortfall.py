"""A refund after the payout: the balance falls below zero, pays nothing, and comes back with the next order."""

from __future__ import annotations

from app.cli.demo.account import Node, Purchase
from app.cli.demo.client import DemoError
from app.cli.demo.spreading import order, take_back
from app.cli.demo.stage import Stage
from app.kit.money import yuan

REFUND = 4_900
MORE_ORDERS = 24


async def fall_and_rise(stage: Stage) -> Node:
    """Who fell; the second wave of orders is behind, and on hold."""
    purchase, promoter = _chosen(stage)
    with stage.act("打款后部分退款 · below zero", 2) as done:
        await take_back(stage, purchase, REFUND)
        balance = await _balance(stage, promoter)
        done()
        problem = await stage.api.refused("/v1/withdrawals", {"member_id": promoter.member_id})
        if balance["payable_minor"] >= 0 or problem["code"] != "nothing_payable":
            raise DemoError(f"{promoter.nickname}: {balance['payable_minor']}, {problem['code']}")
        done()
    fallen = yuan(balance["payable_minor"])
    stage.seen.append(("打款后退款 below zero", f"{promoter.nickname} 余额 {fallen}", f"提现被拒 {problem['code']}"))
    others = [node for node in stage.account.nodes if node.invited and promoter not in _above(node)]
    buyers = [purchase.buyer, *(stage.rng.choice(others) for _ in range(MORE_ORDERS))]
    await order(stage, "复购 · more orders", buyers)
    return promoter


async def show_risen(stage: Stage, promoter: Node) -> None:
    """After the hold of the next order."""
    balance = await _balance(stage, promoter)
    if balance["payable_minor"] <= 0:
        raise DemoError(f"{promoter.nickname}: still {balance['payable_minor']} after the next order")
    stage.seen.append(("下一单补回 next order", f"余额 {yuan(balance['payable_minor'])}", "又可以提现"))


def _chosen(stage: Stage) -> tuple[Purchase, Node]:
    """Of those who were paid, one to whom nothing else stands."""
    account = stage.account
    pairs = [(each, each.buyer.inviter) for each in account.purchases if not each.refunded_minor]
    paid = [(each, node) for each, node in pairs if node is not None and account.paid_out_minor[node.member_id]]
    return max(paid, key=lambda pair: account.payable_of(pair[1]))


def _above(node: Node) -> list[Node]:
    first = node.inviter
    return [each for each in (first, first and first.inviter) if each is not None]


async def _balance(stage: Stage, node: Node) -> dict[str, int]:
    found: dict[str, int] = await stage.api.get(f"/v1/members/{node.member_id}/balance")
    return found
