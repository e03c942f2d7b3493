"""Where something is paid: what, how much, until when; then what became of it. Whoever has the link may pay."""

from __future__ import annotations

import base64
import hashlib
import json

import httpx
from fastapi import APIRouter, Depends, Request, Response

from app.api.deps import ResourcesDep
from app.api.ratelimit import client_address
from app.h5.pages import POLICY, TEMPLATES, redirect, render
from app.h5.pay_login import FAILED, login_address
from app.h5.sessions import read_session
from app.h5.till import Till, enter_till, in_wechat, limit_presses
from app.kit import outward
from app.kit.errors import Conflict, Unavailable
from app.orders import paying
from app.orders.paying import Begun
from app.orders.providers import opening
from app.orders.providers.protocol import Start
from app.resources import Resources

router = APIRouter()
# WeChat's own page of H5 payments. The form leads there by a redirect, which browsers take for the form's action.
_WECHAT_POLICY = POLICY.replace("form-action 'self'", "form-action 'self' https://wx.tenpay.com")
SCRIPT = (TEMPLATES / "wechat.js").read_text("utf-8").strip()
_SCRIPT_HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
# What WeChat puts into its pages hands its calls over by frames of these addresses, where it has no better way.
_SCRIPT_POLICY = f"{POLICY}; script-src 'sha256-{_SCRIPT_HASH}'; frame-src weixin: weixinping:"


@router.get("/pay/{checkout_id}")
async def show(checkout_id: str, request: Request, resources: ResourcesDep) -> Response:
    """In WeChat by way of WeChat, where it is not known yet who pays."""
    async with enter_till(resources, checkout_id) as till:
        login = await login_address(till, request, resources)
        return await _page(till, request, resources) if login is None else redirect(login)


@router.post("/pay/{checkout_id}", dependencies=[Depends(limit_presses)])
async def pay(checkout_id: str, request: Request, resources: ResourcesDep) -> Response:
    """On to the provider. Pressed twice it is the same payment: its key is the checkout's."""
    try:
        async with enter_till(resources, checkout_id) as till:
            begun = await paying.begin(
                till.session,
                merchant_id=till.merchant.id,
                checkout_id=checkout_id,
                in_wechat=in_wechat(request),
                public_url=resources.settings.public_url,
                payer_address=_payer_address(request, resources),
                now=till.now,
            )
    except Conflict:
        return redirect(f"/h5/pay/{checkout_id}")
    start = await _start(resources, till, begun)
    if start.url is not None:
        return redirect(start.url)
    call = json.dumps(dict(start.call or {}))
    return render("pay_wechat.html", policy=_SCRIPT_POLICY, checkout=till.checkout, call=call, script=SCRIPT)


@router.post("/pay/{checkout_id}/check", dependencies=[Depends(limit_presses)])
async def check(checkout_id: str, resources: ResourcesDep) -> Response:
    """Who has paid and is not told so has the provider asked."""
    async with enter_till(resources, checkout_id) as till:
        await paying.look_soon(till.session, merchant_id=till.merchant.id, checkout_id=checkout_id, now=till.now)
    return redirect(f"/h5/pay/{checkout_id}")


async def _start(resources: Resources, till: Till, begun: Begun) -> Start:
    try:
        async with outward.new_client(opening.TIMEOUT) as client:
            provider = opening.open_provider(
                begun.kind,
                merchant_id=till.merchant.id,
                row=begun.row,
                client=client,
                open_session=lambda: resources.db.tenant(till.merchant.id),
                now=till.now,
            )
            return await provider.start(begun.payment, begun.way)
    except (httpx.HTTPError, OSError) as error:
        raise Unavailable("payment_provider_refused", f"The payment provider does not answer: {error!r}") from error


async def _page(till: Till, request: Request, resources: Resources) -> Response:
    checkout = till.checkout
    visitor = read_session(request, resources.settings)
    is_own = visitor is not None and (visitor.merchant_id, visitor.member_id) == (till.merchant.id, checkout.member_id)
    return render(
        "pay.html",
        policy=_WECHAT_POLICY if checkout.provider == "wechat" else POLICY,
        checkout=checkout,
        state=checkout.status if till.is_open or checkout.status != "open" else "expired",
        is_asked=till.is_asked,
        refunded_minor=await till.refunded_minor(),
        can_pay=till.can_pay(request),
        login_failed=request.query_params.get("login") == FAILED,
        minutes_left=max(1, -int(-(checkout.expires_at - till.now).total_seconds() // 60)),
        organiser=till.merchant.name,
        own_page=f"/h5/me/{checkout.participant_id}" if is_own and checkout.participant_id else "",
    )


def _payer_address(request: Request, resources: Resources) -> str:
    scope = request.scope
    return client_address(scope["client"], scope["headers"], resources.settings.trusted_proxies)
