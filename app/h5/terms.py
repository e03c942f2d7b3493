"""The terms of a commission in words that people read: who earns more, on what, and where it ends."""

from __future__ import annotations

from collections.abc import Iterator

from app.campaigns.document import CommissionLevel, CommissionRule, PromoterTier, SpecialRule
from app.kit.money import yuan

CHECKOUT_STATUS = {
    "open": "待付款",
    "paid": "已付款",
    "expired": "已超时",
    "failed": "未付成",
    "refund_due": "退款中",
    "refunded": "已退款",
}
_LEVELS = {1: "一级", 2: "二级"}


def term_lines(commission: CommissionRule) -> Iterator[str]:
    for tier in commission.tiers:
        yield f"等级「{tier.key}」：直接好友在本活动中{_target(tier)}（扣除退款）即自动升级"
    for rule in commission.rules:
        yield f"{_scope(rule)}：{'，'.join(map(_level, rule.levels))}"
    if commission.rules:
        yield "多条佣金规则同时适用时，取金额最高的一条"
    if commission.self_purchase and commission.all_rules():
        yield "推广员本人购买按一级计佣，其邀请人按二级计佣"
    if commission.promoter_budget_minor is not None:
        yield f"每位推广员在本活动中的佣金最多 {yuan(commission.promoter_budget_minor)} 元"


def _target(tier: PromoterTier) -> str:
    orders = f"付款满 {tier.min_orders} 单" if tier.min_orders else ""
    amount = f"付款满 {yuan(tier.min_amount_minor)} 元" if tier.min_amount_minor else ""
    return "或".join(filter(None, (orders, amount)))


def _scope(rule: SpecialRule) -> str:
    who = f"等级「{rule.tier}」及以上推广员" if rule.tier else "全部推广员"
    return f"{who}，{f'购买「{rule.product}」' if rule.product else '全部商品'}"


def _level(level: CommissionLevel) -> str:
    if level.rate_bps is not None:
        return f"{_LEVELS[level.level]}佣金为实付金额的 {level.rate_bps / 100:g}%"
    return f"{_LEVELS[level.level]}佣金 {yuan(level.amount_minor or 0)} 元"
