from __future__ import annotations

from app.campaigns.document import CommissionLevel, CommissionRule, PromoterTier, RuleDocument, SpecialRule
from app.h5.copy import rule_lines
from app.h5.terms import term_lines
from tests.factories.campaigns import TWO_LEVELS


def test_plain_levels_need_no_further_words() -> None:
    assert list(term_lines(TWO_LEVELS)) == []


def test_a_promoter_reads_what_more_there_is_to_earn_and_where_it_ends() -> None:
    commission = CommissionRule(
        tiers=(
            PromoterTier(key="silver", min_orders=3),
            PromoterTier(key="gold", min_orders=9, min_amount_minor=90_000),
        ),
        rules=(
            SpecialRule(key="a", tier="gold", levels=(CommissionLevel(level=1, rate_bps=3_550),)),
            SpecialRule(
                key="b",
                product="案例集",
                levels=(CommissionLevel(level=1, amount_minor=1_500), CommissionLevel(level=2, rate_bps=500)),
            ),
        ),
        self_purchase=True,
        promoter_budget_minor=100_000,
    )
    assert list(term_lines(commission)) == [
        "等级「silver」：直接好友在本活动中付款满 3 单（扣除退款）即自动升级",
        "等级「gold」：直接好友在本活动中付款满 9 单或付款满 900.00 元（扣除退款）即自动升级",
        "等级「gold」及以上推广员，全部商品：一级佣金为实付金额的 35.5%",
        "全部推广员，购买「案例集」：一级佣金 15.00 元，二级佣金为实付金额的 5%",
        "多条佣金规则同时适用时，取金额最高的一条",
        "推广员本人购买按一级计佣，其邀请人按二级计佣",
        "每位推广员在本活动中的佣金最多 1,000.00 元",
    ]
    shown = rule_lines(RuleDocument(commission=commission))
    assert "佣金在付款 7 天后可提现；订单退款时，相应佣金一并扣回" in shown
