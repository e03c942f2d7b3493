"""`invitree posters render`: every participant's poster as a file, and what cannot be had said plainly."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from app.cli import app, posters
from app.kit import ids
from app.kit.errors import NotFound, Unavailable
from app.models import AuditEntry, Campaign
from app.poster import BUILTIN, PosterInput, Template, read_back, render
from app.poster.process import DrawingFault
from app.poster.renderer import Renderer
from app.resources import Resources
from tests.factories import MerchantFixture, make_campaign, make_participant
from tests.factories.payables import make_user

runner = CliRunner()


async def run(*arguments: object) -> Result:
    """In a thread: the command has an event loop of its own."""
    return await asyncio.to_thread(runner.invoke, app, ["posters", "render", *map(str, arguments)])


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
async def campaign(resources: Resources, merchant: MerchantFixture) -> Campaign:
    async with resources.db.tenant(merchant.test_id) as session:
        return await make_campaign(session, merchant.test_id)


@pytest.fixture
async def people(resources: Resources, campaign: Campaign) -> dict[str, str]:
    """Invite codes by participant."""
    async with resources.db.tenant(campaign.merchant_id) as session:
        made = [await make_participant(session, campaign) for _ in range(5)]
    return {participant.id: participant.invite_code for participant in made}


async def entries(resources: Resources, campaign: Campaign) -> list[tuple[str, dict[str, Any]]]:
    async with resources.db.tenant(campaign.merchant_id) as session:
        found = await session.scalars(select(AuditEntry).where(AuditEntry.subject_id == campaign.id))
        return [(entry.actor, entry.detail) for entry in found if entry.action == "posters.rendered"]


async def test_the_gallery_shows_every_built_in_poster_with_a_code_that_reads(tmp_path: Path) -> None:
    done = await asyncio.to_thread(runner.invoke, app, ["posters", "gallery", "--out", str(tmp_path)])
    assert done.exit_code == 0
    pictures = written(tmp_path)
    page = pictures.pop("index.html").decode()
    assert len(pictures) == len(BUILTIN) * 5
    for name, picture in pictures.items():
        assert f'src="{name}"' in page
        [link] = read_back(picture)
        assert link.startswith("https://invitree.example/i/k7m2x9q")


async def test_every_participant_has_a_file_named_by_its_code(
    resources: Resources, campaign: Campaign, people: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "posters"
    done = await run("--campaign", campaign.id, "--out", folder, "--json")
    assert done.exit_code == 0, done.output
    told = msgspec.json.decode(done.stdout)
    files = written(folder)
    assert set(files) == {f"{code}.jpg" for code in people.values()}
    assert (told["posters"], told["failed"]) == (5, [])
    assert told["size_bytes"] == sum(map(len, files.values()))
    for code in people.values():
        assert read_back(files[f"{code}.jpg"]) == [f"https://t.invitree.cn/i/{code}?s=qr"]
    assert await entries(resources, campaign) == [("command_line", {"posters": 5, "failed": 0})]


async def test_only_those_who_are_named(
    resources: Resources, campaign: Campaign, people: dict[str, str], tmp_path: Path
) -> None:
    async with resources.db.tenant(campaign.merchant_id) as session:
        user = await make_user(session, campaign.merchant_id)
    wanted = list(people)[1:3]
    named = [word for participant in wanted for word in ("--participant", participant)]
    done = await run("--campaign", campaign.id, "--out", tmp_path, *named, "--as", user)
    assert done.exit_code == 0, done.output
    assert set(written(tmp_path)) == {f"{people[participant]}.jpg" for participant in wanted}
    assert await entries(resources, campaign) == [(user, {"posters": 2, "failed": 0})]


async def test_a_campaign_of_nobody_is_done_at_once(campaign: Campaign, tmp_path: Path) -> None:
    done = await run("--campaign", campaign.id, "--out", tmp_path)
    assert done.exit_code == 0
    assert campaign.id in done.stdout


async def test_what_does_not_exist_is_said_before_anything_is_drawn(
    resources: Resources, merchant: MerchantFixture, campaign: Campaign, people: dict[str, str], tmp_path: Path
) -> None:
    async with resources.db.tenant(merchant.live_id) as session:
        foreign = await make_participant(session, await make_campaign(session, merchant.live_id))
    async with resources.db.tenant(merchant.test_id) as session:
        other = await make_participant(session, await make_campaign(session, merchant.test_id))
    for words, code in (
        (["--campaign", ids.new("cmp")], "campaign_not_found"),
        (["--campaign", "cmp_x"], "campaign_not_found"),
        (["--campaign", campaign.id, "--participant", foreign.id], "participant_not_found"),
        (["--campaign", campaign.id, "--participant", other.id], "participant_not_found"),
        (["--campaign", campaign.id, "--participant", "ptc_x"], "participant_not_found"),
        (["--campaign", campaign.id, "--as", ids.new("usr")], "merchant_user_not_found"),
    ):
        refused = await run(*words, "--out", tmp_path)
        assert isinstance(refused.exception, NotFound)
        assert refused.exception.code == code
    assert written(tmp_path) == {}


async def test_a_folder_that_cannot_be_made_is_a_fault_of_usage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert (await run("--campaign", ids.new("cmp"), "--out", out)).exit_code == 2


class Tired(Renderer):
    """Draws the first poster, and then no more."""

    drawn = 0
    error: Exception = Unavailable("renderer_failed", "The picture could not be drawn; try again.")

    async def render(self, template: Template, poster: PosterInput, *_: object) -> bytes:
        self.drawn += 1
        if self.drawn > 1:
            raise self.error
        return render(template, poster)


async def test_what_failed_is_listed_and_the_rest_is_there(
    resources: Resources, campaign: Campaign, people: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "renderer", Tired())
    job = await posters.prepare(resources, campaign.id, [], tmp_path, None)
    outcome = await posters.draw_all(resources, job)
    assert (outcome.posters, len(outcome.failed), outcome.exit_code) == (1, 4, 4)
    files = set(written(tmp_path))
    assert files | {f"{failure.invite_code}.jpg" for failure in outcome.failed} == {
        f"{code}.jpg" for code in people.values()
    }
    assert "renderer_failed" in outcome.failed[0].reason


async def test_a_fault_in_drawing_ends_no_run(
    resources: Resources, campaign: Campaign, people: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer = Tired()
    renderer.error = DrawingFault("Traceback")
    monkeypatch.setattr(resources, "renderer", renderer)
    job = await posters.prepare(resources, campaign.id, [], tmp_path, None)
    outcome = await posters.draw_all(resources, job)
    assert (outcome.posters, len(outcome.failed), outcome.exit_code) == (1, 4, 4)
    assert {failure.reason.partition(":")[0] for failure in outcome.failed} == {"renderer_fault"}


async def test_a_disk_that_takes_nothing_fails_the_command(
    resources: Resources, campaign: Campaign, people: dict[str, str], tmp_path: Path
) -> None:
    job = await posters.prepare(resources, campaign.id, [], tmp_path / "gone", None)
    outcome = await posters.draw_all(resources, job)
    assert (outcome.posters, len(outcome.failed), outcome.exit_code) == (0, 5, 1)
