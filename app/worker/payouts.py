"""Payouts that a provider carries out: submitted, asked after, recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx

from app.kit import logging, outward
from app.payouts import carrying
from app.payouts.carrying import Claim, Taken
from app.payouts.rails import calls, opening
from app.payouts.rails.protocol import Answer, Rail
from app.resources import Resources
from app.worker.loop import FAILURES

log = logging.get(__name__)
CALLS_AT_ONCE = 20
CALL_TIMEOUT = 10.0
# Longer than all calls of one turn, so that a claim runs out only where its worker died.
CLAIM_SECONDS = 60


async def carry_payouts(resources: Resources) -> int:
    async with resources.db.system() as session:
        claims = await carrying.claim(session, limit=CALLS_AT_ONCE, seconds=CLAIM_SECONDS)
    if claims:
        async with outward.new_client(CALL_TIMEOUT) as client, asyncio.TaskGroup() as group:
            for taken in claims:
                group.create_task(_carry(resources, client, taken))
    return len(claims)


async def _carry(resources: Resources, client: httpx.AsyncClient, taken: Taken) -> None:
    """One payout's fault is logged and counted, and keeps no other from its turn; its claim runs out."""
    try:
        async with resources.db.tenant(taken.merchant_id) as session:
            claim = await carrying.unseal(session, taken)
        if claim is None:
            return
        answer = await _ask(resources, client, claim)
        async with resources.db.tenant(claim.merchant_id) as session:
            await carrying.record(session, claim=claim, answer=answer)
    except Exception:  # whatever it is, the next one's money does not hang on it
        FAILURES.labels("carry_payouts").inc()
        log.exception("payout_turn_failed", payout_id=taken.payout_id)


async def _ask(resources: Resources, client: httpx.AsyncClient, claim: Claim) -> Answer:
    try:
        rail = rail_of(resources, client, claim)
    except ValueError as error:
        return Answer("not_now", reason=str(error))
    return await calls.turn(
        rail,
        claim.transfer,
        is_new=claim.number == 1,
        cancelling=claim.cancelling,
        trusts_not_found=claim.trusts_not_found,
    )


def rail_of(resources: Resources, client: httpx.AsyncClient, claim: Claim) -> Rail:
    if claim.rail != "sandbox":
        return opening.open_rail(claim.rail, claim.credentials, client)
    own = claim.merchant_id
    return opening.open_sandbox(own, claim.credentials, lambda: resources.db.tenant(own), now=claim.now)


async def ask_after(resources: Resources, claims: Sequence[Claim]) -> list[Answer]:
    """What providers say of transfers, in the same order; nothing is changed, here or there."""
    at_once = asyncio.Semaphore(CALLS_AT_ONCE)

    async def ask(claim: Claim) -> Answer:
        async with at_once:
            try:
                return await calls.look(rail_of(resources, client, claim), claim.transfer.key)
            except ValueError as error:
                return Answer("unknown", reason=str(error))

    async with outward.new_client(CALL_TIMEOUT) as client:
        return await asyncio.gather(*map(ask, claims))
