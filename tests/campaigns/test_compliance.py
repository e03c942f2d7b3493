from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.campaigns import compliance
from app.campaigns.document import CommissionLevel, CommissionRule, RuleDocument

NOW = datetime(2026, 12, 1, tzinfo=UTC)


@dataclass
class Facts:
    """A campaign that nothing can be said against."""

    kind: str = "distribution"
    name: str = "案例集分销"
    product_name: str | None = "案例集 + 年度会员"
    price_minor: int | None = 5_900
    stock: int | None = 8_000
    ends_at: datetime | None = NOW + timedelta(days=30)
    landing: dict[str, Any] = field(default_factory=lambda: {"organiser": "清茶书社"})
    rules_text: str | None = "推广免费，无需购买；佣金最多两级，仅按实际付款订单计算。"
    poster_avatars: bool = False


def rule(*levels: CommissionLevel, **rest: Any) -> RuleDocument:
    return RuleDocument(commission=CommissionRule(levels=levels, **rest))


TWO_LEVELS = rule(CommissionLevel(level=1, rate_bps=3_000), CommissionLevel(level=2, rate_bps=1_000))


def codes(facts: Facts, document: RuleDocument = TWO_LEVELS) -> tuple[list[str], list[str]]:
    found = compliance.check(facts, document, now=NOW)
    assert all(finding.source and finding.detail for finding in (*found.errors, *found.warnings))
    return [error.code for error in found.errors], [warning.code for warning in found.warnings]


def test_a_sound_campaign_has_nothing_against_it() -> None:
    assert codes(Facts()) == ([], [])


def test_pictures_of_people_are_pointed_out() -> None:
    assert codes(Facts(poster_avatars=True)) == ([], ["avatars_shown"])


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (rule(*(CommissionLevel(level=n, rate_bps=100) for n in (1, 2, 3))), ["commission_level_not_allowed"]),
        (rule(CommissionLevel(level=1, rate_bps=6_000)), ["commission_rate_cap_exceeded", "commission_cap_exceeded"]),
        (rule(CommissionLevel(level=1, amount_minor=2_951)), ["commission_cap_exceeded"]),
        (rule(CommissionLevel(level=1, amount_minor=2_950)), []),
        (
            rule(CommissionLevel(level=1, rate_bps=4_000), CommissionLevel(level=2, amount_minor=600)),
            ["commission_cap_exceeded"],
        ),
    ],
)
def test_levels_and_their_cap_block(document: RuleDocument, expected: list[str]) -> None:
    assert codes(Facts(), document)[0] == expected


def test_a_fixed_sum_past_level_one_on_a_free_product_is_pay_for_heads() -> None:
    free = rule(CommissionLevel(level=1, rate_bps=1), CommissionLevel(level=2, amount_minor=100), rate_cap_bps=10_000)
    assert codes(Facts(price_minor=0), free)[0] == ["head_count_pay", "commission_cap_exceeded"]


@pytest.mark.parametrize(
    ("wording", "code"),
    [
        ("缴纳99元入门费即可参与", "paid_entry"),
        ("购买本产品后自动成为推广员", "paid_entry"),
        ("成为推广员需先购买一份", "paid_entry"),
        ("支付保证金获得推广资格", "paid_entry"),
        ("消费满 199 元升级为合伙人", "paid_entry"),
        ("间接邀请注册也有奖励", "head_count_pay"),
        ("按团队人数拿奖金", "head_count_pay"),
        ("拉人头赚钱", "head_count_pay"),
        ("三级分销，躺赚", "levels_advertised"),
        ("无限级返佣", "levels_advertised"),
        ("３级佣金", "levels_advertised"),  # a full-width digit
    ],
)
def test_wording_that_the_law_forbids_blocks(wording: str, code: str) -> None:
    for facts, pointer in (
        (Facts(rules_text=f"活动规则：{wording}。"), "/rules_text"),
        (Facts(name=wording), "/name"),
        (Facts(landing={"organiser": "社", "blocks": [{"text": wording}]}), "/landing/blocks/0/text"),
    ):
        errors = compliance.check(facts, TWO_LEVELS, now=NOW).errors
        assert [(error.code, error.pointer) for error in errors] == [(code, pointer)]


@pytest.mark.parametrize(
    "wording",
    [
        "成为推广员无需购买，也不收任何费用",
        "无需购买即可成为推广员",
        "本活动免加盟费、零代理费",
        "严禁拉人头，不搞三级分销",
        "购买即可成为年度会员",
        "好友购买后，推广员获得佣金",
        "佣金分两级：一级 30%，二级 10%",
        "二级佣金按实际付款计算",
        "邀请好友注册，双方各得 30 天会员",
    ],
)
def test_wording_that_denies_it_or_speaks_of_something_else_passes(wording: str) -> None:
    assert codes(Facts(rules_text=wording)) == ([], [])


@pytest.mark.parametrize(
    "wording",
    ["分享到朋友圈免费领取", "转发后可抽奖", "集满38个赞送礼品", "邀请3位好友助力解锁", "帮我砍一刀", "分享有奖"],
)
def test_wording_that_induces_sharing_is_a_warning(wording: str) -> None:
    assert codes(Facts(landing={"organiser": "社", "headline": wording})) == ([], ["copy_induces_sharing"])


@pytest.mark.parametrize(
    ("facts", "warning"),
    [
        (Facts(landing={}), "organiser_missing"),
        (Facts(ends_at=None), "dates_missing"),
        (Facts(rules_text=None), "rules_text_missing"),
        (Facts(stock=None), "stock_missing"),
    ],
)
def test_what_a_page_should_say_is_a_warning(facts: Facts, warning: str) -> None:
    assert codes(facts) == ([], [warning])


def test_dates_product_and_hold() -> None:
    assert codes(Facts(ends_at=NOW))[0] == ["ends_at_past"]
    assert codes(Facts(product_name=None, price_minor=None, stock=None))[0] == ["product_missing"]
    refer = Facts(kind="refer_a_friend", product_name=None, price_minor=None, stock=None)
    assert codes(refer, RuleDocument()) == ([], ["rewards_missing"])
    assert codes(Facts(), RuleDocument()) == ([], ["commission_missing"])
    assert codes(Facts(), rule(CommissionLevel(level=1, rate_bps=1), hold_days=6)) == ([], ["hold_short"])
