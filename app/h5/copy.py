"""A campaign's rules in words that people read."""

from __future__ import annotations

from dataclasses import dataclass

from app.campaigns.document import CommissionLevel, RewardRule, RuleDocument
from app.h5.terms import term_lines
from app.kit.money import yuan

_TRIGGERS = {
    "signup": "报名后",
    "phone_verified": "好友完成手机验证后",
    "days_kept": "好友留存期满后",
    "order_paid": "好友付款后",
}
_LEVELS = {1: "直接邀请的好友", 2: "好友再邀请的朋友"}


@dataclass(frozen=True, slots=True)
class Gift:
    """One line of the offer: a short badge, a title, a sentence."""

    badge: str
    title: str
    detail: str


def gifts(rule: RuleDocument) -> list[Gift]:
    friends_first = sorted(rule.rewards, key=lambda reward: reward.to != "invitee")
    return [*map(_reward_gift, friends_first), *map(_commission_gift, rule.commission.levels)]


def rule_lines(rule: RuleDocument) -> list[str]:
    lines = [f"{gift.title}：{gift.detail}" for gift in gifts(rule)]
    lines += term_lines(rule.commission)
    if rule.commission.all_rules():
        since = "付款" if rule.commission.hold_from == "payment" else "订单完成"
        lines.append(f"佣金在{since} {rule.commission.held_days()} 天后可提现；订单退款时，相应佣金一并扣回")
    caps = {reward.cap_days for reward in rule.rewards if reward.to == "inviter" and reward.cap_days}
    if caps:
        lines.append(f"邀请奖励累计最多 {max(caps)} 天")
    lines.append("推广免费，无需购买；佣金最多两级，仅按实际付款订单计算")
    return lines


def _reward_gift(reward: RewardRule) -> Gift:
    if reward.to == "invitee":
        return Gift(f"{reward.days}天", "新人礼", f"{_TRIGGERS[reward.on]}赠送会员 {reward.days} 天")
    return Gift(f"+{reward.days}", "邀请奖励", f"每邀请一位好友，{_TRIGGERS[reward.on]}你得会员 {reward.days} 天")


def _commission_gift(level: CommissionLevel) -> Gift:
    who = _LEVELS[level.level]
    if level.rate_bps is not None:
        rate = f"{level.rate_bps / 100:g}%"
        return Gift(rate, f"{'一' if level.level == 1 else '二'}级佣金", f"{who}付款，你得实付金额的 {rate}")
    amount = yuan(level.amount_minor or 0)
    return Gift("¥", f"{'一' if level.level == 1 else '二'}级佣金", f"{who}每笔付款，你得 {amount} 元")
