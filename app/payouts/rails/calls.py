"""One turn of a payout at its provider: which calls, in which order. Nothing is sent before it is known to be new."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

import httpx

from app.kit import logging
from app.payouts.rails.protocol import Answer, Rail, Transfer

log = logging.get(__name__)
# Of one turn, all calls together.
PATIENCE = 30.0


async def turn(
    rail: Rail, transfer: Transfer, *, is_new: bool, cancelling: bool, trusts_not_found: bool = True
) -> Answer:
    """Never raises for what a provider does. `is_new`: claimed for the first time, so that no call was ever made.

    `cancelling`: nothing is sent. `trusts_not_found`: that there is no such transfer means that none was made.
    """
    if is_new and not cancelling:
        return await _guarded(_send(rail, transfer), transfer.key)
    return await _guarded(_turn(rail, transfer, cancelling, trusts_not_found), transfer.key)


async def look(rail: Rail, key: str) -> Answer:
    """As `turn`, but only asks."""
    return await _guarded(_query(rail, key), key)


async def _guarded(call: Awaitable[Answer], key: str) -> Answer:
    try:
        async with asyncio.timeout(PATIENCE):
            return await call
    except (httpx.HTTPError, OSError, TimeoutError) as error:
        return Answer("unknown", reason=f"no answer: {type(error).__name__}")
    except Exception as error:  # nonsense, or an answer that anybody could have signed: neither is an answer
        log.exception("payout_answer_unreadable", key=key)
        return Answer("unknown", reason=f"no usable answer: {error}")


async def _query(rail: Rail, key: str) -> Answer:
    """An error in answer to a question is the question's: of the transfer it says nothing."""
    answer = await rail.query(key)
    return replace(answer, state="unknown") if answer.state in {"refused", "not_now"} else answer


async def _turn(rail: Rail, transfer: Transfer, cancelling: bool, trusts_not_found: bool) -> Answer:
    known = await _query(rail, transfer.key)
    if known.state == "not_found" and not trusts_not_found:
        return _doubted(known)
    if cancelling:
        return await _give_up(rail, transfer, known)
    return await _send(rail, transfer) if known.state == "not_found" else known


async def _send(rail: Rail, transfer: Transfer) -> Answer:
    sent = await rail.send(transfer)
    return await _confirm_refusal(rail, transfer, sent) if sent.state in {"refused", "not_now"} else sent


async def _confirm_refusal(rail: Rail, transfer: Transfer, sent: Answer) -> Answer:
    """A provider also refuses a key that it has carried out: only one that it does not know was really refused."""
    known = await _query(rail, transfer.key)
    return sent if known.state == "not_found" else known


async def _give_up(rail: Rail, transfer: Transfer, known: Answer) -> Answer:
    if known.state not in {"awaiting_payee", "processing"}:
        return known
    await rail.cancel(transfer.key)
    return _doubted(await _query(rail, transfer.key))


def _doubted(answer: Answer) -> Answer:
    """Of a transfer that may have been made: that it is not found says nothing."""
    return replace(answer, state="unknown") if answer.state == "not_found" else answer
