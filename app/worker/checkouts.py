"""Checkouts that nobody has told of: asked after, and ended. And what the cashier tells late."""

from __future__ import annotations

import asyncio

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from app.api import payments
from app.kit import clock, logging
from app.kit.errors import Conflict
from app.models import Merchant, SandboxPayment
from app.orders import asking, paying
from app.orders import checkout_queries as queries
from app.orders.asking import Turn
from app.orders.claims import Claim
from app.orders.providers import opening, sandbox, sandbox_notices
from app.orders.providers.protocol import Notice
from app.resources import Resources
from app.worker import turns

log = logging.get(__name__)
SETTLED = frozenset({"paid", "failed", "closed"})


async def follow_checkouts(resources: Resources) -> int:
    async with resources.db.system() as session:
        claims = await asking.claim(session, limit=turns.AT_ONCE, seconds=turns.CLAIM_SECONDS)

    async def follow(client: httpx.AsyncClient, claim: Claim) -> None:
        await _follow(resources, client, claim)

    await turns.take("follow_checkouts", claims, follow)
    return len(claims)


async def _follow(resources: Resources, client: httpx.AsyncClient, claim: Claim) -> None:
    async with resources.db.tenant(claim.merchant_id) as session:
        turn = await asking.prepare(session, claim)
    if turn is not None:
        await _ask(resources, client, turn)


async def _ask(resources: Resources, client: httpx.AsyncClient, turn: Turn) -> None:
    notice = await _look(resources, client, turn) if turn.is_begun else None
    if notice is not None and notice.state in SETTLED and await _fits(resources, turn, notice):
        return
    async with resources.db.tenant(turn.claim.merchant_id) as session:
        await asking.go_on(session, turn, notice)


async def _fits(resources: Resources, turn: Turn, notice: Notice) -> bool:
    """Followed; or set aside, and the checkout goes its way without it."""
    try:
        await payments.follow(resources, notice, is_house=turn.is_house, told_by="query", now=turn.now)
    except Conflict as misfit:
        log.warning("payment_notice_refused", checkout_id=turn.claim.row_id, code=misfit.code)
        return False
    return True


async def _look(resources: Resources, client: httpx.AsyncClient, turn: Turn) -> Notice | None:
    try:
        async with asyncio.timeout(turns.CALL_SECONDS):
            return await asking.ask(turns.provider_of(resources, client, turn), turn)
    except Exception:  # no answer, or nonsense, which is none either
        log.exception("payment_unknown", checkout_id=turn.claim.row_id)
        return None


async def notify_late(resources: Resources) -> int:
    """As the cashier: once each, to the address that providers are given. Who misses it is told when it asks."""
    async with resources.db.system() as session:
        due = await queries.late_payments(session, limit=turns.AT_ONCE)
        found = [await _late_notice(session, row) for row in due]
        for row in due:
            row.notify_at = None
    if found:
        async with httpx.AsyncClient(timeout=opening.TIMEOUT, trust_env=False) as client:
            await asyncio.gather(*(_post(resources, client, notice) for notice in found))
    return len(found)


async def _late_notice(session: AsyncSession, row: SandboxPayment) -> Notice:
    merchant = await session.get_one(Merchant, row.merchant_id)
    return sandbox.notice_of(row, now=clock.tenant_now(merchant.clock_offset_seconds))


async def _post(resources: Resources, client: httpx.AsyncClient, notice: Notice) -> None:
    headers, body = sandbox_notices.write(notice)
    address = paying.notify_url(resources.settings.public_url, "sandbox", notice.merchant_id)
    try:
        answer = await client.post(address, headers=headers, content=body)
        log.info("sandbox_notified", checkout_id=notice.checkout_id, status=answer.status_code)
    except (httpx.HTTPError, OSError) as error:
        log.warning("sandbox_not_heard", checkout_id=notice.checkout_id, error=repr(error))
