"""Rendering: one inlined style sheet, a policy that allows nothing else, Chinese formats."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from app.kit import clock, money, people

TEMPLATES = Path(__file__).parent / "templates"
STYLE = "".join(line.strip() for line in (TEMPLATES / "style.css").read_text("utf-8").splitlines())
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; img-src 'self' data:; style-src 'sha256-{_STYLE_HASH}'; "
    # A form may lead to the page where one pays, and that one to WeChat first, which knows who does.
    "form-action 'self' https://open.weixin.qq.com; base-uri 'none'; frame-ancestors 'none'"
)

REWARD_STATUS = {"owed": "待发放", "granted": "已到账", "skipped_cap": "已达上限", "revoked": "已撤回"}
COMMISSION_STATUS = {
    "pending": "待确认",
    "held": "冻结中",
    "payable": "可提现",
    "in_payout": "打款中",
    "paid": "已打款",
    "reversed": "已抵消",
    "rejected": "未通过",
}


def _day(instant: datetime) -> str:
    local = clock.shanghai(instant)
    return f"{local.year} 年 {local.month} 月 {local.day} 日"


def _moment(instant: datetime) -> str:
    return f"{clock.shanghai(instant):%Y-%m-%d %H:%M}"


def _clock(instant: datetime) -> str:
    return f"{clock.shanghai(instant):%H:%M}"


def _mask_contact(typed: str) -> str:
    """As it was typed, which may be no phone number at all."""
    try:
        return people.mask_phone(people.normalise_phone(typed))
    except ValueError:
        return "你的手机"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style"] = Markup(f"<style>{STYLE}</style>")  # noqa: S704  # our own file, not a visitor's text
    environment.filters.update(
        day=_day,
        moment=_moment,
        clock=_clock,
        yuan=money.yuan,
        mask_contact=_mask_contact,
        reward_status=REWARD_STATUS.__getitem__,
        commission_status=COMMISSION_STATUS.__getitem__,
    )
    return environment


_ENVIRONMENT = _environment()


def render(template: str, /, *, status: int = 200, policy: str = POLICY, **context: Any) -> Response:
    body = _ENVIRONMENT.get_template(template).render({"organiser": "", **context})
    headers = {"Content-Security-Policy": policy, "Content-Language": "zh-CN"}
    return Response(body, status, headers, "text/html; charset=utf-8")


def redirect(location: str) -> Response:
    """See other: a reload after a form must not send it again."""
    return Response(status_code=303, headers={"Location": location})
