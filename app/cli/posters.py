"""`invitree posters`: a campaign's posters as files."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from app import audit
from app.campaigns import queries as campaigns
from app.cli import environment, gallery
from app.cli.checks import check_user
from app.cli.output import Exit, progress, say, show_json, show_table
from app.db.rows import get_row
from app.kit import logging
from app.kit.errors import InvitreeError, not_found
from app.models import MerchantUser
from app.poster import PosterInput, Template
from app.poster.process import DrawingFault
from app.poster.renderer import Renderer
from app.referrals import posters, queries
from app.referrals.posters import Composed
from app.resources import Resources

log = logging.get(__name__)
app = typer.Typer(help="Posters: render them to files.", no_args_is_help=True)
ACTOR = "command_line"
# Composed in one transaction and drawn at once; far below what the renderer queues.
CHUNK = 16


@dataclass(frozen=True, slots=True)
class Failure:
    invite_code: str
    reason: str


@dataclass(slots=True)
class Outcome:
    campaign_id: str
    folder: str
    posters: int = 0
    size_bytes: int = 0
    failed: list[Failure] = field(default_factory=list)

    @property
    def exit_code(self) -> Exit:
        if not self.failed:
            return Exit.DONE
        return Exit.PARTLY if self.posters else Exit.FAILED


@dataclass(frozen=True, slots=True)
class Job:
    merchant_id: str
    campaign_id: str
    participant_ids: list[str]
    folder: Path
    actor: str


@app.command("gallery")
def show_gallery(
    out: Annotated[Path, typer.Option(file_okay=False, help="The folder to write to; files in it are replaced.")],
) -> None:
    """Write a page with every built-in poster, for five people whose names are hard to draw."""
    make_folder(out)

    async def work() -> Path:
        renderer = Renderer()
        try:
            with progress() as bar:
                task = bar.add_task("Posters", total=gallery.count())
                return await gallery.write(renderer, out, lambda: bar.advance(task))
        finally:
            await renderer.close()

    say(f"Written: {asyncio.run(work())}")


@app.command()
def render(
    campaign: Annotated[str, typer.Option(help="The campaign (cmp_…).")],
    out: Annotated[Path, typer.Option(file_okay=False, help="The folder to write to; files in it are replaced.")],
    participant: Annotated[list[str] | None, typer.Option(help="Only this one (ptc_…); may be repeated.")] = None,
    user: Annotated[
        str | None, typer.Option("--as", callback=check_user, help="The merchant user who acts (usr_…).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder of the embedded servers.")] = None,
) -> None:
    """Write the posters of a campaign's participants, named by their invite codes."""
    make_folder(out)

    async def work(resources: Resources) -> Outcome:
        job = await prepare(resources, campaign, participant or [], out, user)
        outcome = await draw_all(resources, job)
        await record(resources, job, outcome)
        return outcome

    outcome = environment.run(work, data)
    show_json(asdict(outcome)) if as_json else show(outcome)
    raise typer.Exit(outcome.exit_code)


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"cannot make the folder: {error.strerror}", param_hint="--out") from None


async def prepare(resources: Resources, campaign_id: str, wanted: list[str], folder: Path, user: str | None) -> Job:
    """NotFound for a campaign or user that does not exist, and for a participant that is not in the campaign."""
    async with resources.db.system() as session:
        merchant_id = await campaigns.merchant_of(session, campaign_id)
    if merchant_id is None:
        raise not_found("campaign")
    async with resources.db.tenant(merchant_id) as session:
        everyone = await queries.participant_ids(session, merchant_id=merchant_id, campaign_id=campaign_id)
        if user is not None:
            await get_row(session, MerchantUser, merchant_id=merchant_id, row_id=user, noun="merchant_user")
    if not set(wanted) <= set(everyone):
        raise not_found("participant")
    return Job(merchant_id, campaign_id, wanted or everyone, folder, user or ACTOR)


async def draw_all(resources: Resources, job: Job) -> Outcome:
    outcome = Outcome(job.campaign_id, str(job.folder))
    with progress() as bar:
        task = bar.add_task("Posters", total=len(job.participant_ids))
        for start in range(0, len(job.participant_ids), CHUNK):
            composed = await compose(resources, job, job.participant_ids[start : start + CHUNK])
            for drawn in asyncio.as_completed([draw(resources, *one, job.folder) for one in composed]):
                note(outcome, await drawn)
                bar.advance(task)
    return outcome


async def compose(resources: Resources, job: Job, ids: list[str]) -> list[Composed]:
    async with resources.db.tenant(job.merchant_id) as session:
        return await posters.of_many(
            session,
            merchant_id=job.merchant_id,
            campaign_id=job.campaign_id,
            participant_ids=ids,
            public_url=resources.settings.public_url,
        )


async def draw(resources: Resources, template: Template, poster: PosterInput, folder: Path) -> int | Failure:
    """How many bytes were written. One poster that cannot be had stops no other."""
    try:
        picture = await resources.renderer.render(template, poster)
        return await asyncio.to_thread((folder / f"{poster.invite_code}.jpg").write_bytes, picture)
    except DrawingFault:
        log.exception("poster_faulty", invite_code=poster.invite_code)
        return Failure(poster.invite_code, "renderer_fault: the picture met a fault in the drawing; the log has it")
    except (InvitreeError, OSError) as error:
        return Failure(poster.invite_code, str(error))


def note(outcome: Outcome, drawn: int | Failure) -> None:
    if isinstance(drawn, Failure):
        outcome.failed.append(drawn)
    else:
        outcome.posters += 1
        outcome.size_bytes += drawn


async def record(resources: Resources, job: Job, outcome: Outcome) -> None:
    async with resources.db.tenant(job.merchant_id) as session:
        audit.record(
            session,
            merchant_id=job.merchant_id,
            actor=job.actor,
            action="posters.rendered",
            subject_id=job.campaign_id,
            detail={"posters": outcome.posters, "failed": len(outcome.failed)},
        )


def show(outcome: Outcome) -> None:
    figures = (outcome.campaign_id, outcome.posters, round(outcome.size_bytes / 1e6, 1), outcome.folder)
    show_table("Posters", ["campaign", "posters", "MB", "folder"], [figures])
    if outcome.failed:
        rows = [(failure.invite_code, failure.reason) for failure in outcome.failed]
        show_table("Not written", ["invite code", "reason"], rows)
