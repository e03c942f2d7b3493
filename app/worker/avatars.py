"""Members' pictures from the addresses that merchants gave."""

from __future__ import annotations

import asyncio

import httpx

from app.kit import logging, outward
from app.kit.errors import InvitreeError, Unavailable
from app.referrals import avatars, fetching
from app.referrals.avatars import Claim
from app.referrals.fetching import FetchError
from app.resources import Resources

log = logging.get(__name__)
FETCHES_AT_ONCE = 16
# Longer than the slowest fetch and its decoding, so that a claim runs out only where its worker died.
CLAIM_SECONDS = 60


async def fetch_avatars(resources: Resources) -> int:
    async with resources.db.system() as session:
        claims = await avatars.claim(session, limit=FETCHES_AT_ONCE, seconds=CLAIM_SECONDS)
    if claims:
        async with outward.new_client(fetching.TIMEOUT) as client:
            work = [_fetch_one(resources, client, claim) for claim in claims]
            found = await asyncio.gather(*work, return_exceptions=True)  # one that fails must not end the others
        for error in filter(None, found):
            raise error
    return len(claims)


async def _fetch_one(resources: Resources, client: httpx.AsyncClient, claim: Claim) -> None:
    try:
        content = await _picture(resources, client, claim.url)
        async with resources.db.system() as session:
            await avatars.keep(session, claim, content=content)
    except FetchError as error:
        await _fail(resources, claim, str(error), final=error.final)
    except Exception as error:
        log.exception("avatar_faulty", merchant_id=claim.merchant_id, member_id=claim.member_id)
        await _fail(resources, claim, type(error).__name__, final=False)


async def _fail(resources: Resources, claim: Claim, error: str, *, final: bool) -> None:
    async with resources.db.system() as session:
        await avatars.fail(session, claim, error=error, final=final)


async def _picture(resources: Resources, client: httpx.AsyncClient, url: str) -> bytes:
    development = resources.settings.environment == "development"
    fetched = await fetching.fetch(client, url, development=development)
    try:
        return await resources.renderer.normalise(fetched, "avatar")
    except InvitreeError as error:
        raise FetchError(f"{error.code}: {error.detail}", final=not isinstance(error, Unavailable)) from error
