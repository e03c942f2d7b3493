"""A merchant's way to one provider, with its credentials."""

from __future__ import annotations

import random
from datetime import datetime

import httpx

from app.models import PayoutRail
from app.payouts.rails import credentials
from app.payouts.rails.alipay import AlipayRail
from app.payouts.rails.credentials import AlipaySettings, SandboxSettings, WechatSettings
from app.payouts.rails.protocol import Rail
from app.payouts.rails.sandbox import OpenSession, SandboxRail
from app.payouts.rails.wechat import WechatRail


def open_rail(kind: str, row: PayoutRail | None, client: httpx.AsyncClient) -> Rail:
    """ValueError where the credentials are missing or cannot be used."""
    if row is not None and kind == "wechat":
        return WechatRail(credentials.read(row, WechatSettings), client)
    if row is not None and kind == "alipay":
        return AlipayRail(credentials.read(row, AlipaySettings), client)
    raise ValueError(f"no credentials for {kind or 'this rail'}")


def open_sandbox(merchant_id: str, row: PayoutRail | None, open_session: OpenSession, *, now: datetime) -> SandboxRail:
    """Well-behaved unless the tenant has asked for something else."""
    settings = SandboxSettings() if row is None else credentials.read(row, SandboxSettings)
    return SandboxRail(merchant_id, settings, open_session, now, random.SystemRandom())
