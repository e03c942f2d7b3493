"""The check before a campaign is published: errors block, warnings are shown, each with the source of its rule.

No legal advice: it finds what can be found in rules and wording, for campaigns shown in mainland China.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from app.campaigns import phrases, terms
from app.campaigns.document import RuleDocument
from app.campaigns.drafting import faults
from app.kit.errors import FieldError
from app.kit.money import share

HEAD_COUNT = "《禁止传销条例》（国务院令第444号）第七条第一项：不得以发展人员的数量计算和给付报酬"
PAID_ENTRY = "《禁止传销条例》（国务院令第444号）第七条第二项：不得以交纳费用或认购商品作为加入的条件"
TEAM_PAY = "《禁止传销条例》（国务院令第444号）第七条第三项；公通字〔2013〕37号第一条：层级三级以上"
SHARING = "《微信外部链接内容管理规范》：不得诱导分享（利益诱惑、助力、砍价、集赞等）"
AVATARS = "《微信外部链接内容管理规范》：不得未经授权收集、展示用户头像、昵称等信息"
DISCLOSURE = "《规范促销行为暂行规定》（市场监管总局令第32号）第十三条：公布参与条件、数量、时间、主办方等信息"
RETURNS = "《消费者权益保护法》第二十五条：网购商品七日无理由退货"
OWN = "Invitree"

RETURN_DAYS = 7
_SOURCE_OF_FAULT = {"commission_level_not_allowed": TEAM_PAY}


@dataclass(frozen=True, slots=True)
class Finding:
    """`pointer` is a JSON Pointer into the campaign as the API shows it; `source` names the rule behind it."""

    code: str
    detail: str
    source: str
    pointer: str


@dataclass(frozen=True, slots=True)
class Findings:
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]

    def as_field_errors(self) -> list[FieldError]:
        return [FieldError(found.pointer, found.code, f"{found.detail} ({found.source})") for found in self.errors]


class Facts(Protocol):
    """What of a campaign is checked beside its rules."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def product_name(self) -> str | None: ...
    @property
    def price_minor(self) -> int | None: ...
    @property
    def stock(self) -> int | None: ...
    @property
    def ends_at(self) -> datetime | None: ...
    @property
    def landing(self) -> dict[str, Any]: ...
    @property
    def rules_text(self) -> str | None: ...
    @property
    def poster_avatars(self) -> bool: ...


def check(campaign: Facts, rule: RuleDocument, *, now: datetime) -> Findings:
    errors = (*_rule_errors(rule), *_offer_errors(campaign, rule, now), *_wording_errors(campaign))
    warnings = (*_missing(campaign, rule), *_sharing(campaign), *_short_hold(campaign, rule))
    return Findings(errors, (*warnings, *_avatars(campaign)))


def _rule_errors(rule: RuleDocument) -> Iterator[Finding]:
    for fault in faults(rule):
        yield Finding(fault.code, fault.detail, _SOURCE_OF_FAULT.get(fault.code, OWN), fault.pointer)


def _offer_errors(campaign: Facts, rule: RuleDocument, now: datetime) -> Iterator[Finding]:
    if campaign.kind == "distribution" and campaign.product_name is None:
        yield Finding("product_missing", "A distribution campaign sells something: set `product`.", OWN, "/product")
    if campaign.ends_at is not None and campaign.ends_at <= now:
        yield Finding("ends_at_past", "The campaign would be over as it begins: move `ends_at`.", OWN, "/ends_at")
    if campaign.price_minor is not None:
        yield from _price_errors(campaign.price_minor, campaign.product_name, rule)


def _price_errors(price_minor: int, product: str | None, rule: RuleDocument) -> Iterator[Finding]:
    """Of lines whose price is known. Fixed sums for other products are cut by the cap on each order's line."""
    fixed = list(_fixed_past_level_one(rule, product)) if price_minor == 0 else []
    if fixed:
        detail = "A fixed sum past level 1 on something that costs nothing pays for heads, not for sales."
        yield Finding("head_count_pay", detail, HEAD_COUNT, fixed[0])
    paid = terms.dearest(rule.commission, price_minor, product)
    cap = share(price_minor, rule.commission.rate_cap_bps)
    if paid > cap:
        detail = f"The levels take {paid} of a price of {price_minor} (minor units), above the cap of {cap}."
        yield Finding("commission_cap_exceeded", detail, OWN, "/commission/levels")


def _fixed_past_level_one(rule: RuleDocument, product: str | None) -> Iterator[str]:
    commission = rule.commission
    special = [(f"/commission/rules/{place}", one.product, one.levels) for place, one in enumerate(commission.rules)]
    for pointer, only, levels in [("/commission", None, commission.levels), *special]:
        for place, level in enumerate(levels):
            if only in (None, product) and level.level > 1 and level.amount_minor:
                yield f"{pointer}/levels/{place}/amount_minor"


def _wording_errors(campaign: Facts) -> Iterator[Finding]:
    for pattern, code, detail, source in (
        (phrases.PAID_ENTRY, "paid_entry", "Becoming a promoter must be free of fees and purchases", PAID_ENTRY),
        (phrases.HEAD_COUNT, "head_count_pay", "Nobody is paid by the number of people below level 1", HEAD_COUNT),
        (
            phrases.MORE_LEVELS,
            "levels_advertised",
            "At most two levels are paid, and none more may be promised",
            TEAM_PAY,
        ),
    ):
        for pointer, text in _texts(campaign):
            wording = phrases.claims(pattern, text)
            if wording is not None:
                yield Finding(code, f"{detail}: “{wording}”.", source, pointer)


def _sharing(campaign: Facts) -> Iterator[Finding]:
    for pointer, text in _texts(campaign):
        wording = phrases.claims(phrases.INDUCES_SHARING, text)
        if wording is not None:
            detail = f"WeChat may block a page that rewards the act of sharing: “{wording}”."
            yield Finding("copy_induces_sharing", detail, SHARING, pointer)


def _missing(campaign: Facts, rule: RuleDocument) -> Iterator[Finding]:
    if not campaign.landing.get("organiser"):
        yield Finding("organiser_missing", "The page should name who runs this.", DISCLOSURE, "/landing/organiser")
    if campaign.ends_at is None:
        yield Finding("dates_missing", "The page should say until when it runs.", DISCLOSURE, "/ends_at")
    if not campaign.rules_text:
        yield Finding("rules_text_missing", "The page should show the rules.", DISCLOSURE, "/rules_text")
    if campaign.product_name is not None and campaign.stock is None:
        yield Finding("stock_missing", "The page should say how many there are.", DISCLOSURE, "/product/stock")
    if campaign.kind == "distribution" and not rule.commission.all_rules():
        yield Finding("commission_missing", "Promoters would earn nothing.", OWN, "/commission/levels")
    if campaign.kind == "refer_a_friend" and not rule.rewards:
        yield Finding("rewards_missing", "Neither side would get anything.", OWN, "/rewards")


def _avatars(campaign: Facts) -> Iterator[Finding]:
    if campaign.poster_avatars:
        detail = "Posters show people's pictures: outside your own circle, only with their consent."
        yield Finding("avatars_shown", detail, AVATARS, "/poster_avatars")


def _short_hold(campaign: Facts, rule: RuleDocument) -> Iterator[Finding]:
    held = rule.commission.held_days()
    if campaign.product_name is not None and rule.commission.all_rules() and held < RETURN_DAYS:
        detail = f"Commission is payable after {held} days, while goods may still come back."
        yield Finding("hold_short", detail, RETURNS, "/commission/hold_days")


def _texts(campaign: Facts) -> Iterator[tuple[str, str]]:
    yield "/name", campaign.name
    yield from phrases.texts(campaign.product_name, "/product/name")
    yield from phrases.texts(campaign.landing, "/landing")
    yield from phrases.texts(campaign.rules_text, "/rules_text")
