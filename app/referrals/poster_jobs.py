"""Posters of many participants at once: noted first, drawn piece by piece by the worker, kept for a few days.

Every piece is kept in a transaction of its own. A worker that dies lets its lease run out, and another one goes on;
what two of them drew is kept once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, literal_column, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.campaigns import queries as campaigns
from app.db.rows import get_row, one_of
from app.kit import ids
from app.kit.errors import Conflict, Unprocessable, not_found
from app.models import Job, JobPoster, Participant
from app.referrals import queries, templates

MOST_POSTERS = 10_000
PIECE = 32
KEPT = timedelta(days=3)
# Between the last moment at which a download may begin and the end of the pictures.
DOWNLOAD = timedelta(hours=1)
MOST_FAILURES_SHOWN = 100
_OPEN = ("queued", "running")

_ADD = text("""
    INSERT INTO job_posters (merchant_id, job_id, number, participant_id)
    SELECT :merchant_id, :job_id, number, participant
    FROM unnest(CAST(:participants AS uuid[])) WITH ORDINALITY AS wanted (participant, number)
""")


@dataclass(frozen=True, slots=True)
class Wish:
    """`participant_ids` None: all of the campaign; `template_id` None: what each participant picked."""

    participant_ids: Sequence[str] | None
    template_id: str | None
    format: str


@dataclass(frozen=True, slots=True)
class Piece:
    """What one worker draws next: numbers in the job, and whose posters they are.

    `template` with its version where one was asked for: what begins with a version ends with it.
    """

    merchant_id: str
    job_id: str
    campaign_id: str
    template: tuple[str, int] | None
    format: str
    posters: Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Drawn:
    """`error` is the code of what went wrong where there is no `content`."""

    number: int
    name: str | None = None
    content: bytes | None = None
    error: str | None = None


async def start(session: AsyncSession, *, merchant_id: str, campaign_id: str, wish: Wish, now: datetime) -> Job:
    """NotFound for campaign, template or participant; Unprocessable `too_many_posters`, `no_participants`."""
    participants = await _wanted(session, merchant_id, campaign_id, wish.participant_ids)
    version = None
    if wish.template_id is not None:
        campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
        fixed = campaign.poster_template_versions.get(wish.template_id)
        shown = await templates.show(session, merchant_id=merchant_id, template_id=wish.template_id, version=fixed)
        version = shown["version"]
    job = Job(
        merchant_id=merchant_id,
        id=ids.new("job"),
        kind="posters",
        status="queued",
        campaign_id=campaign_id,
        input={"template_id": wish.template_id, "template_version": version, "format": wish.format},
        total=len(participants),
        created_at=now,
    )
    session.add(job)
    await session.flush()
    given = {"merchant_id": ids.decode("mch", merchant_id), "job_id": ids.decode("job", job.id)}
    await session.execute(_ADD, {**given, "participants": [ids.decode("ptc", one) for one in participants]})
    await session.refresh(job)
    return job


async def _wanted(
    session: AsyncSession, merchant_id: str, campaign_id: str, participant_ids: Sequence[str] | None
) -> list[str]:
    if participant_ids is None:
        most = MOST_POSTERS + 1
        return _countable(
            await queries.participant_ids(session, merchant_id=merchant_id, campaign_id=campaign_id, most=most)
        )
    campaign = await campaigns.get(session, merchant_id=merchant_id, campaign_id=campaign_id)
    wanted = _countable(list(dict.fromkeys(participant_ids)))
    own = (Participant.merchant_id == merchant_id, Participant.campaign_id == campaign.id)
    found = select(func.count()).select_from(Participant).where(*own, one_of(Participant.id, wanted))
    if await session.scalar(found) != len(wanted):
        raise not_found("participant")
    return wanted


def _countable(participants: list[str]) -> list[str]:
    if not participants:
        raise Unprocessable("no_participants", "The campaign has no participants yet: there is nothing to draw.")
    if len(participants) > MOST_POSTERS:
        detail = f"A job draws at most {MOST_POSTERS} posters; `invitree posters render` draws any number to files."
        raise Unprocessable("too_many_posters", detail)
    return participants


async def claim(session: AsyncSession, *, seconds: int) -> Piece | None:
    """The next piece of the job that nobody works on and that waited longest, for `seconds`. Runs as *system*."""
    free = (Job.status.in_(_OPEN), Job.leased_until.is_(None) | (Job.leased_until <= func.now()))
    waiting_since = func.coalesce(Job.leased_until, Job.created_at)
    first = select(Job).where(*free).order_by(waiting_since).limit(1).with_for_update(skip_locked=True)
    job = (await session.scalars(first)).one_or_none()
    if job is None:
        return None
    job.status, job.leased_until = "running", func.now() + timedelta(seconds=seconds)
    waiting = select(JobPoster.number, JobPoster.participant_id).where(*_of(job.merchant_id, job.id), *_NEITHER)
    posters = (await session.execute(waiting.order_by(JobPoster.number).limit(PIECE))).tuples().all()
    await session.flush()
    wanted = job.input["template_id"]
    template = None if wanted is None else (wanted, job.input["template_version"])
    return Piece(job.merchant_id, job.id, job.campaign_id, template, job.input["format"], posters)


async def keep(session: AsyncSession, piece: Piece, drawn: Sequence[Drawn]) -> None:
    """Store what was drawn, and let the job go on or be done."""
    job = await session.get_one(Job, (piece.merchant_id, piece.job_id), with_for_update=True)
    for poster in drawn:
        mine = (*_of(piece.merchant_id, piece.job_id), JobPoster.number == poster.number, *_NEITHER)
        values = {"name": poster.name, "content": poster.content, "error": poster.error}
        if await session.scalar(update(JobPoster).where(*mine).values(values).returning(JobPoster.number)) is None:
            continue
        job.done += poster.content is not None
        job.failed += poster.content is None
        job.size_bytes += len(poster.content or b"")
    job.leased_until = func.now()  # at the end of the queue, so that a large job keeps no small one waiting
    if job.done + job.failed == job.total and job.status in _OPEN:
        job.status, job.finished_at = "done", func.now()
    await session.flush()


async def let_go(session: AsyncSession, piece: Piece, *, seconds: int) -> None:
    """Nothing could be drawn now: try again in a while."""
    mine = (Job.merchant_id == piece.merchant_id, Job.id == piece.job_id)
    await session.execute(update(Job).where(*mine).values(leased_until=func.now() + timedelta(seconds=seconds)))


async def forget(session: AsyncSession) -> int:
    """The pictures of one job whose time is over; how many jobs that were. Runs as *system*."""
    old = select(Job).where(Job.status == "done", Job.finished_at < func.now() - KEPT - DOWNLOAD)
    job = (await session.scalars(old.limit(1).with_for_update(skip_locked=True))).one_or_none()
    if job is None:
        return 0
    await session.execute(delete(JobPoster).where(*_of(job.merchant_id, job.id)))
    job.status = "expired"
    await session.flush()
    return 1


async def get(session: AsyncSession, *, merchant_id: str, job_id: str) -> Job:
    return await get_row(session, Job, merchant_id=merchant_id, row_id=job_id, noun="job")


async def require_result(session: AsyncSession, *, merchant_id: str, job_id: str, now: datetime) -> Job:
    """Conflict `job_not_done`, `job_expired`. What is found now stays for as long as a download may take."""
    job = await get(session, merchant_id=merchant_id, job_id=job_id)
    if job.status in _OPEN:
        raise Conflict("job_not_done", f"{job.done + job.failed} of {job.total} are done; ask again in a while.")
    if job.status == "expired" or (job.finished_at and job.finished_at + KEPT <= now):
        raise gone()
    return job


def gone() -> Conflict:
    return Conflict("job_expired", f"Results are kept for {KEPT.days} days; start the job again.")


async def pictures(
    session: AsyncSession, *, merchant_id: str, job_id: str, after: int, most: int
) -> Sequence[tuple[int, str, bytes]]:
    """Number, name and bytes of the pictures behind number `after`, in turn."""
    columns: Any = (JobPoster.number, JobPoster.name, JobPoster.content)
    mine = (*_of(merchant_id, job_id), JobPoster.number > after, JobPoster.content.is_not(None))
    return (await session.execute(select(*columns).where(*mine).order_by(JobPoster.number).limit(most))).tuples().all()


async def failures(session: AsyncSession, *, merchant_id: str, job_id: str) -> list[dict[str, str]]:
    """The first of those that could not be drawn."""
    columns: Any = (JobPoster.participant_id, JobPoster.error)
    mine = (*_of(merchant_id, job_id), JobPoster.error.is_not(None))
    found = await session.execute(
        select(*columns).where(*mine).order_by(literal_column("number")).limit(MOST_FAILURES_SHOWN)
    )
    return [{"participant_id": participant_id, "code": code} for participant_id, code in found]


_NEITHER = (JobPoster.content.is_(None), JobPoster.error.is_(None))


def _of(merchant_id: str, job_id: str) -> tuple[Any, Any]:
    return (JobPoster.merchant_id == merchant_id, JobPoster.job_id == job_id)


def job_view(job: Job, failed: Sequence[dict[str, str]]) -> dict[str, Any]:
    return {
        "id": job.id,
        "object": "job",
        "kind": job.kind,
        "status": job.status,
        "campaign_id": job.campaign_id,
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "failures": list(failed),
        "size_bytes": job.size_bytes,
        "result_url": f"/v1/jobs/{job.id}/result" if job.status == "done" else None,
        "result_expires_at": job.finished_at + KEPT if job.status == "done" and job.finished_at else None,
        "finished_at": job.finished_at,
        "metadata": job.meta,
        "created_at": job.created_at,
    }
