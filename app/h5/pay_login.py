"""Paying in WeChat by whoever holds the phone: to WeChat and back, with the openid that its own pages pay by."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.api.deps import ResourcesDep
from app.h5.pages import redirect
from app.h5.till import Till, enter_till, in_wechat, limit_presses
from app.kit import clock, logging, outward
from app.kit.errors import Forbidden, Unavailable
from app.orders import paying
from app.orders.providers import credentials, opening, wechat_login
from app.orders.providers.credentials import WechatPaySettings
from app.resources import Resources
from app.settings import get_keyring

router = APIRouter()
log = logging.get(__name__)
FAILED = "failed"


async def login_address(till: Till, request: Request, resources: Resources) -> str | None:
    """Where to send a browser that is WeChat's own, for the openid; None where none is wanted, or to be had."""
    if not (till.is_open and in_wechat(request) and till.wants_openid) or request.query_params.get("login") == FAILED:
        return None
    settings = await _settings(till)
    if settings is None:
        return None
    back = f"{paying.pay_url(resources.settings.public_url, till.checkout.id)}/wechat"
    state = wechat_login.new_state(get_keyring(), checkout_id=till.checkout.id, now=clock.utcnow())
    return wechat_login.address(settings, back=back, state=state)


@router.get("/pay/{checkout_id}/wechat", dependencies=[Depends(limit_presses)])
async def come_back(
    checkout_id: str,
    resources: ResourcesDep,
    code: Annotated[str, Query()] = "",
    state: Annotated[str, Query()] = "",
) -> Response:
    """From WeChat, with a code. What fails leads to the page that says how else to pay, and not to WeChat again."""
    page = f"/h5/pay/{checkout_id}"
    async with enter_till(resources, checkout_id) as till:
        settings = await _settings(till) if till.wants_openid else None
    if settings is None:
        return redirect(page)
    try:
        wechat_login.require_state(get_keyring(), state, checkout_id=checkout_id, now=clock.utcnow())
        async with outward.new_client(opening.TIMEOUT) as client:
            api_url = resources.settings.wechat_api_url
            openid = await wechat_login.openid_of(client, api_url, settings=settings, code=code)
    except (Forbidden, Unavailable) as failure:
        log.warning("wechat_login_failed", checkout_id=checkout_id, code=failure.code, error=failure.detail)
        return redirect(f"{page}?login={FAILED}")
    async with enter_till(resources, checkout_id) as till:
        await paying.know_payer(till.session, merchant_id=till.merchant.id, checkout_id=checkout_id, openid=openid)
    return redirect(page)


async def _settings(till: Till) -> WechatPaySettings | None:
    """None where no AppSecret was given: the page says to open it in a browser."""
    row = await credentials.find(till.session, merchant_id=till.merchant.id)
    settings = None if row is None else credentials.read(row)
    return settings if settings is not None and settings.app_secret else None
