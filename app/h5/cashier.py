"""The sandbox cashier's page: stands in for a provider's own. It moves no money, and says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

import httpx
from fastapi import APIRouter, Form, Request, Response

from app.api.deps import ResourcesDep
from app.h5.pages import redirect, render
from app.h5.till import Till, enter_till
from app.kit import logging
from app.kit.errors import not_found
from app.models import SandboxPayment
from app.orders import paying
from app.orders.providers import sandbox, sandbox_notices
from app.orders.providers.protocol import Notice, payment_key

router = APIRouter()
log = logging.get(__name__)
Action = Literal["pay", "fail", "late", "after_end"]
LATE = timedelta(seconds=30)
AFTER_THE_END = timedelta(seconds=30)


@router.get("/pay/{checkout_id}/cashier")
async def show(checkout_id: str, resources: ResourcesDep) -> Response:
    async with enter_till(resources, checkout_id) as till:
        payment = await _payment(till)
        return render("cashier.html", checkout=till.checkout, payment=payment, organiser=till.merchant.name)


@router.post("/pay/{checkout_id}/cashier")
async def act(
    checkout_id: str, request: Request, resources: ResourcesDep, action: Annotated[Action, Form()]
) -> Response:
    """Pressed twice it is done once: what is no longer waiting stays as it is."""
    async with enter_till(resources, checkout_id) as till:
        payment = await _payment(till)
        notice = _act(payment, till, action) if payment.status == "waiting" else None
    if notice is not None:
        await _notify(request, notice)
    return redirect(f"/h5/pay/{checkout_id}")


async def _payment(till: Till) -> SandboxPayment:
    own = {"merchant_id": till.merchant.id, "key": payment_key(till.checkout.id)}
    payment = await sandbox.hold(till.session, **own) if till.checkout.provider == "sandbox" else None
    if payment is None:
        raise not_found("checkout")
    return payment


def _act(payment: SandboxPayment, till: Till, action: Action) -> Notice | None:
    """What is told at once; a late payment is told by the worker."""
    payment.status = "failed" if action == "fail" else "paid"
    late = {"late": till.now + LATE, "after_end": max(till.now, till.checkout.expires_at) + AFTER_THE_END}
    payment.settles_at = late.get(action, till.now)
    payment.notify_at = late.get(action)
    return None if action in late else sandbox.notice_of(payment, now=till.now)


async def _notify(request: Request, notice: Notice) -> None:
    """By the very address that real providers call, without leaving the process. Who misses it is told when it asks."""
    headers, body = sandbox_notices.write(notice)
    address = paying.notify_url("http://cashier", "sandbox", notice.merchant_id)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(request.app)) as client:
        answer = await client.post(address, headers=headers, content=body)
    if answer.is_error:
        log.warning("sandbox_not_heard", checkout_id=notice.checkout_id, status=answer.status_code)
