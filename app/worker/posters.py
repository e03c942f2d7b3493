"""Jobs of posters: one piece at a time, so that every job gets on and a crash costs one piece."""

from __future__ import annotations

import asyncio

from app.kit import logging
from app.kit.errors import InvitreeError, Unavailable
from app.poster.process import DrawingFault
from app.poster.render import Format
from app.referrals import poster_jobs, posters
from app.referrals.poster_jobs import Drawn, Piece
from app.referrals.posters import Composed
from app.resources import Resources

log = logging.get(__name__)
# Longer than a piece takes where every poster takes its longest.
LEASE_SECONDS = 180
PAUSE_SECONDS = 2
SUFFIXES = {"jpeg": "jpg"}


async def draw_posters(resources: Resources) -> int:
    """How many posters were drawn; 0 also where the renderer is busy with what people wait for."""
    async with resources.db.system() as session:
        piece = await poster_jobs.claim(session, seconds=LEASE_SECONDS)
    if piece is None:
        return 0
    found = await _draw(resources, piece)
    drawn = [each for each in found if isinstance(each, Drawn)]
    undrawn = [each for each in found if isinstance(each, BaseException)]
    async with resources.db.system() as session:
        await poster_jobs.keep(session, piece, drawn)
        if undrawn:
            await poster_jobs.let_go(session, piece, seconds=PAUSE_SECONDS)
    for error in undrawn:
        if not isinstance(error, Unavailable):
            raise error
    return len(drawn)


async def _draw(resources: Resources, piece: Piece) -> list[Drawn | BaseException]:
    """One for each poster; an error where it may be tried again."""
    try:
        composed = await _composed(resources, piece)
    except InvitreeError as error:  # the template is gone, or its pictures are: nothing of the piece can be had
        return [Drawn(number, error=error.code) for number, _ in piece.posters]
    numbers = [number for number, _ in piece.posters]
    work = [_draw_one(resources, piece, *each) for each in zip(numbers, composed, strict=True)]
    return list(await asyncio.gather(*work, return_exceptions=True))


async def _composed(resources: Resources, piece: Piece) -> list[Composed]:
    async with resources.db.tenant(piece.merchant_id) as session:
        return await posters.of_many(
            session,
            merchant_id=piece.merchant_id,
            campaign_id=piece.campaign_id,
            participant_ids=[participant_id for _, participant_id in piece.posters],
            public_url=resources.settings.public_url,
            fixed=piece.template,
        )


async def _draw_one(resources: Resources, piece: Piece, number: int, composed: Composed) -> Drawn:
    form: Format = piece.format  # type: ignore[assignment]  # checked when the job was asked for
    try:
        content = await resources.renderer.render(*composed, form)
    except DrawingFault:
        log.exception("poster_faulty", job_id=piece.job_id, number=number)
        return Drawn(number, error="renderer_fault")
    except InvitreeError as error:
        if error.code == "renderer_busy":
            raise
        # What took too long or killed its process would do so for ever, and the job would never end.
        return Drawn(number, error="renderer_fault" if error.code == "renderer_failed" else error.code)
    return Drawn(number, f"{composed[1].invite_code}.{SUFFIXES.get(form, form)}", content)


async def forget_posters(resources: Resources) -> int:
    async with resources.db.system() as session:
        return await poster_jobs.forget(session)
