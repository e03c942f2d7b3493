"""Wording that Chinese law or WeChat's rules object to, found in a campaign's own texts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from re import Pattern
from typing import Any

_PROMOTER = "(?:推广员|推广资格|推广权|分销员|分销商|分销资格|代理|合伙人|团长)"
_PAY = "(?:购买|消费|付费|付款|充值|下单|缴费|交费)"
_REACH = r"[^。！!？?；;\n]"

PAID_ENTRY = re.compile(
    rf"入门费|加盟费|代理费|(?:缴纳?|交纳?|支付|收取){_REACH}{{0,8}}(?:入会费|保证金|推广资格)"
    rf"|{_PAY}{_REACH}{{0,10}}(?:成为|升级|获得|取得|开通){_REACH}{{0,4}}{_PROMOTER}"
    rf"|(?:成为|升级|获得|取得|开通){_REACH}{{0,4}}{_PROMOTER}{_REACH}{{0,4}}(?:需|须|要|先){_REACH}{{0,4}}{_PAY}"
)
HEAD_COUNT = re.compile(
    r"拉人头|按人头|团队计酬"
    rf"|(?:二级|间接|下级|下线|团队){_REACH}{{0,8}}(?:注册|拉新|加入|入会|人数){_REACH}{{0,8}}(?:奖|返|佣|提成)"
)
MORE_LEVELS = re.compile(r"(?:[三四五六七八九十3-9]|多|无限)(?:级|层)(?:分销|佣金|返佣|返利|提成|代理)")
INDUCES_SHARING = re.compile(
    rf"(?:分享|转发|发送){_REACH}{{0,8}}(?:朋友圈|微信群|好友|群){_REACH}{{0,10}}(?:领|得|送|抽|解锁|才能|方可|即可|获)"
    r"|(?:分享|转发)(?:后|才能|方可|即可|就能|就送|有奖|领|得)"
    r"|[集攒求]满?\d*个?赞|集卡|集福"
    rf"|(?:邀请|拉|找){_REACH}{{0,6}}(?:好友|朋友|人){_REACH}{{0,6}}(?:助力|砍|加速|解锁|才能|方可)|助力|砍价|砍一刀"
)
_DENIED_BEFORE = re.compile(r"不|免|无|没有|禁止|严禁|拒绝|杜绝|零")
_DENIED_WITHIN = re.compile(r"无需|无须|不需|不用|不必|不收|不得|不按|不以")
_CLAUSE_END = re.compile(r"[，,。！!？?；;：:、\s]")
_LOOK_BACK = 8


def texts(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """Every text inside a JSON value, with its JSON Pointer."""
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from texts(child, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for position, child in enumerate(value):
            yield from texts(child, f"{pointer}/{position}")


def claims(pattern: Pattern[str], text: str) -> str | None:
    """The first wording of `text` that makes the claim; one that denies it ("无需缴纳入门费") is none."""
    normal = unicodedata.normalize("NFKC", text)
    found = (match for match in pattern.finditer(normal) if not _is_denied(normal, match.start(), match.end()))
    first = next(found, None)
    return first.group() if first else None


def _is_denied(text: str, start: int, end: int) -> bool:
    before = _CLAUSE_END.split(text[max(0, start - _LOOK_BACK) : start])[-1]
    return bool(_DENIED_BEFORE.search(before) or _DENIED_WITHIN.search(text, start, end))
