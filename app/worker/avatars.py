"""Members' pictures from the addresses that merchants gave."""

from __future__ import annotations

import asyncio

import httpx

from app.kit import outward
from app.kit.errors import InvitreeError, Unavailable
from app.referrals import avatars, fetching
from app.referrals.avatars import Claim
from app.referrals.fetching import FetchError
from app.resources import Resources

FETCHES_AT_ONCE = 16
# Longer than the slowest fetch and its decoding, so that a claim runs out only where its worker died.
CLAIM_SECONDS = 60


async def fetch_avatars(resources: Resources) -> int:
    async with resources.db.system() as session:
        claims = await avatars.claim(session, limit=FETCHES_AT_ONCE, seconds=CLAIM_SECONDS)
    if claims:
        async with outward.new_client(fetching.TIMEOUT) as client, asyncio.TaskGroup() as group:
            for claim in claims:
                group.create_task(_fetch_one(resources, client, claim))
    return len(claims)


async def _fetch_one(resources: Resources, client: httpx.AsyncClient, claim: Claim) -> None:
    try:
        content = await _picture(resources, client, claim.url)
    except FetchError as error:
        async with resources.db.system() as session:
            await avatars.fail(session, claim, error=str(error), final=error.final)
        return
    async with resources.db.system() as session:
        await avatars.keep(session, claim, content=content)


async def _picture(resources: Resources, client: httpx.AsyncClient, url: str) -> bytes:
    development = resources.settings.environment == "development"
    fetched = await fetching.fetch(client, url, development=development)
    try:
        return await resources.renderer.normalise(fetched, "avatar")
    except InvitreeError as error:
        raise FetchError(f"{error.code}: {error.detail}", final=not isinstance(error, Unavailable)) from error
