"""`invitree counters`: live counters compared with the rows, and set right from them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from app import audit
from app.cli import environment
from app.cli.output import Exit, say, show_json, show_table, waiting
from app.kit import ids, logging
from app.kit.errors import Unavailable, not_found
from app.resources import Resources
from app.tracking import live, positions, repair, rows, store, verify_rollups
from app.tracking import verify as verify_live
from app.tracking.keys import shard_of
from app.tracking.verify import Difference
from app.worker import counters as worker
from app.worker import tracking
from app.worker.held import Waits, nobody, on_shard

T = TypeVar("T")
PATIENCE_SECONDS = 60.0

app = typer.Typer(help="Live counters of clicks and scans, and the rows behind them.", no_args_is_help=True)

CampaignOption = Annotated[str | None, typer.Option("--campaign", help="Only this campaign (cmp_…).")]
MerchantOption = Annotated[str | None, typer.Option("--merchant", help="Only this merchant (mch_…).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataOption = Annotated[Path | None, typer.Option(help="Data folder of the embedded servers.")]


@dataclass(slots=True)
class Report:
    campaigns: int = 0
    participants: int = 0
    differences: list[Difference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Restored:
    """`caught_up`: nothing is owed, and live figures are shown."""

    campaigns: int
    caught_up: bool


@app.command()
def verify(
    campaign: CampaignOption = None,
    merchant: MerchantOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Wait until Redis' events are in Postgres, then compare live counters, rollups and rows."""

    async def agreed(resources: Resources) -> Report:
        await resources.tracker.agreement.require()
        return await compare(resources, merchant=merchant, campaign=campaign)

    report = run(agreed, data)
    if as_json:
        show_json({"ok": not report.differences, **asdict(report)})
    else:
        _show(report)
    if report.differences:
        raise typer.Exit(Exit.FAILED)


@app.command()
def rebuild(
    campaign: CampaignOption = None,
    merchant: MerchantOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Set live counters from the rows; events may go on arriving."""

    async def agreed(resources: Resources) -> Restored:
        await resources.tracker.agreement.require()
        return await restore(resources, merchant=merchant, campaign=campaign)

    rebuilt = run(agreed, data)
    if as_json:
        show_json({"ok": True, **asdict(rebuilt)})
    else:
        tell_restored(rebuilt)


def tell_restored(rebuilt: Restored) -> None:
    say(f"Set the live counters of {rebuilt.campaigns} campaigns from the rows.")
    if not rebuilt.caught_up:
        say("Repairs that others have asked for are left to the worker: until then figures may come from the rows.")


def run(work: Callable[[Resources], Awaitable[T]], data: Path | None) -> T:
    async def logged(resources: Resources) -> T:
        # Draining has something to say, and standard output is for the answer.
        logging.configure(resources.settings.log_level, as_json=resources.settings.log_json)
        return await work(resources)

    try:
        return environment.run(logged, data)
    except live.AWAY as error:
        raise Unavailable("redis_unavailable", f"Redis is away: {error}") from None


async def compare(resources: Resources, *, merchant: str | None, campaign: str | None) -> Report:
    selected = await _select(resources, merchant, campaign)
    report = Report(len(selected))
    with waiting("Comparing", len(selected)) as (done, waits):
        if not await worker.catch_up(resources, PATIENCE_SECONDS, waits=waits):
            raise Unavailable("counters_behind", f"The streams were not drained in {PATIENCE_SECONDS:.0f} s.")
        for merchant_id, campaign_id in selected:
            await compare_campaign(resources, merchant_id, campaign_id, report, waits)
            done(1)
    async with resources.db.system() as session:
        report.differences += await verify_rollups.rollups(session, [campaign_id for _, campaign_id in selected])
    return report


async def compare_campaign(
    resources: Resources, merchant_id: UUID, campaign_id: UUID, report: Report, waits: Waits = nobody
) -> None:
    redis, shards = resources.redis, resources.settings.track_shards
    own = {"merchant_id": merchant_id, "campaign_id": campaign_id}
    held = partial(on_shard, resources, shard_of(campaign_id, shards), what=positions.COMPARES, waits=waits)

    async def compare_piece(session: AsyncSession, piece: list[UUID]) -> list[Difference]:
        return await verify_live.participants(session, redis, shards, **own, participants=piece)

    async for piece in worker.pieces(resources, merchant_id, campaign_id):
        report.participants += len(piece)
        report.differences += await held(partial(compare_piece, piece=piece))
    report.differences += await held(lambda session: verify_live.campaign(session, redis, shards, **own))


async def restore(resources: Resources, *, merchant: str | None, campaign: str | None) -> Restored:
    """Also while another rebuild runs: the two take turns, piece by piece."""
    selected = await _select(resources, merchant, campaign)
    async with resources.db.system() as session:
        people = await rows.count_participants(session, [campaign_id for _, campaign_id in selected])
    with waiting("Rebuilding", people) as (done, waits):
        # A wiped Redis gets its new epoch here.
        await tracking.drain_streams(resources)
        for place, (merchant_id, campaign_id) in enumerate(selected):
            try:
                await restore_campaign(resources, merchant_id, campaign_id, done, waits)
            except live.AWAY as error:
                await _leave_to_the_worker(resources, selected[place:])
                raise Unavailable(
                    "redis_unavailable", f"Redis is away: {error}. The worker rebuilds what is left when it is back."
                ) from None
        return Restored(len(selected), await worker.catch_up(resources, PATIENCE_SECONDS, waits=waits))


async def _leave_to_the_worker(resources: Resources, campaigns: Sequence[tuple[UUID, UUID]]) -> None:
    async with resources.db.system() as session:
        await store.ask_repairs(session, campaigns)


async def restore_campaign(
    resources: Resources, merchant_id: UUID, campaign_id: UUID, tell: Callable[[int], None], waits: Waits
) -> None:
    async with resources.db.system() as session:
        owed = await repair.request_for(session, merchant_id, campaign_id)
    await worker.repair_campaign(resources, merchant_id, campaign_id, tell=tell, waits=waits)
    async with resources.db.system() as session:
        await repair.finish(session, owed)
        audit.record(
            session,
            merchant_id=ids.encode("mch", merchant_id),
            actor="command_line",
            action="counters.rebuilt",
            subject_id=ids.encode("cmp", campaign_id),
        )


async def _select(resources: Resources, merchant: str | None, campaign: str | None) -> list[tuple[UUID, UUID]]:
    """`(merchant, campaign)` of what is asked for; NotFound where one was named and there is none."""
    async with resources.db.system() as session:
        found = await rows.campaigns(session, _decode("mch", merchant), _decode("cmp", campaign))
    if campaign is not None and not found:
        raise not_found("campaign")
    return found


def _decode(prefix: str, text: str | None) -> UUID | None:
    try:
        return None if text is None else ids.decode(prefix, text)
    except ValueError:
        raise not_found({"mch": "merchant", "cmp": "campaign"}[prefix]) from None


def _show(report: Report) -> None:
    show_table("Compared", ["campaigns", "participants"], [[report.campaigns, report.participants]])
    if not report.differences:
        say("Live counters, rollups and rows agree.")
        return
    columns = ["store", "campaign", "where", "counter", "counted", "rows"]
    found = report.differences
    show_table("Differences", columns, [[d.store, d.campaign_id, d.where, d.counter, d.counted, d.rows] for d in found])
    say(f"{len(found)} differences. `invitree counters rebuild` sets live counters from the rows.")
