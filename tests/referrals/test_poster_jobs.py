"""Posters of many participants: drawn beside the request, resumed after a crash, fetched as one file."""

from __future__ import annotations

import asyncio
import io
import zipfile
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, func, select, text, update

from app.api.v1.jobs import AT_ONCE, zipped
from app.kit import clock, ids
from app.kit.errors import Conflict, Unavailable
from app.models import Job, JobPoster, PosterTemplate
from app.poster import BUILTIN, PosterInput, Template, read_back
from app.poster.process import DrawingFault, too_slow
from app.referrals import poster_jobs
from app.resources import Resources
from app.worker.posters import draw_posters, forget_posters
from tests.factories import MerchantFixture, make_campaign, make_participant

MANY = poster_jobs.PIECE + 3


@pytest.fixture
async def alone(resources: Resources) -> None:
    """Nothing of other tests is left to draw."""
    async with resources.db.system() as session:
        await session.execute(update(Job).where(Job.status != "expired").values(status="expired"))


async def make_crowd(resources: Resources, merchant: MerchantFixture, size: int) -> tuple[str, list[str], list[str]]:
    """A campaign's id, and its participants' ids and codes."""
    async with resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id)
        people = [await make_participant(session, campaign) for _ in range(size)]
    return campaign.id, [one.id for one in people], [one.invite_code for one in people]


async def ask(api: httpx.AsyncClient, campaign_id: str, **wish: Any) -> dict[str, Any]:
    answer = await api.post(f"/v1/campaigns/{campaign_id}/posters", json=wish or {"all": True})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


async def look(api: httpx.AsyncClient, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"/v1/jobs/{job['id']}")).json()
    return found


async def archive(api: httpx.AsyncClient, job: dict[str, Any]) -> zipfile.ZipFile:
    answer = await api.get(f"/v1/jobs/{job['id']}/result")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert job["id"] in answer.headers["content-disposition"]
    found = zipfile.ZipFile(io.BytesIO(answer.content))
    assert found.testzip() is None
    return found


@pytest.mark.usefixtures("alone")
async def test_all_posters_of_a_campaign_come_as_one_file(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id, _, codes = await make_crowd(resources, merchant, MANY)
    job = await ask(api, campaign_id)
    assert (job["status"], job["total"], job["done"], job["result_url"]) == ("queued", MANY, 0, None)
    early = await api.get(f"/v1/jobs/{job['id']}/result")
    assert (early.status_code, early.json()["code"]) == (409, "job_not_done")
    assert await draw_posters(resources) == poster_jobs.PIECE
    halfway = await look(api, job)
    assert (halfway["status"], halfway["done"]) == ("running", poster_jobs.PIECE)
    assert await draw_posters(resources) == 3
    assert await draw_posters(resources) == 0
    done = await look(api, job)
    assert (done["status"], done["done"], done["failed"]) == ("done", MANY, 0)
    found = await archive(api, done)
    assert sorted(found.namelist()) == sorted(f"{code}.jpg" for code in codes)
    assert sum(entry.file_size for entry in found.infolist()) == done["size_bytes"]
    assert read_back(found.read(f"{codes[-1]}.jpg")) == [f"https://t.invitree.cn/i/{codes[-1]}?s=qr"]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("form", ["png", "webp"])
async def test_only_those_who_are_named_are_drawn_and_each_once(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, form: str
) -> None:
    campaign_id, people, codes = await make_crowd(resources, merchant, 3)
    job = await ask(api, campaign_id, participant_ids=[people[1], people[1]], format=form)
    await draw_posters(resources)
    [name] = (await archive(api, job)).namelist()
    assert name == f"{codes[1]}.{form}"


@pytest.mark.usefixtures("alone")
async def test_after_a_crash_another_worker_goes_on_and_nothing_is_counted_twice(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id, _, _ = await make_crowd(resources, merchant, 2)
    job = await ask(api, campaign_id)
    async with resources.db.system() as session:
        lost = await poster_jobs.claim(session, seconds=60)
    assert lost is not None
    assert await draw_posters(resources) == 0
    async with resources.db.system() as session:
        await session.execute(update(Job).where(Job.id == job["id"]).values(leased_until=func.now() - timedelta(1)))
    assert await draw_posters(resources) == 2
    async with resources.db.system() as session:  # the lost one was only slow
        await poster_jobs.keep(session, lost, [poster_jobs.Drawn(number, "x", b"late") for number, _ in lost.posters])
    done = await look(api, job)
    assert (done["done"], done["failed"], done["status"]) == (2, 0, "done")
    assert "x" not in (await archive(api, job)).namelist()


@pytest.mark.usefixtures("alone")
async def test_two_workers_take_different_jobs(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id, _, _ = await make_crowd(resources, merchant, 1)
    jobs = [await ask(api, campaign_id) for _ in range(2)]
    async with resources.db.system() as one, resources.db.system() as other:
        pieces = [await poster_jobs.claim(session, seconds=60) for session in (one, other)]
        assert await poster_jobs.claim(other, seconds=60) is None
    assert {piece.job_id for piece in pieces if piece} == {job["id"] for job in jobs}


@pytest.mark.usefixtures("alone")
async def test_a_small_job_waits_for_one_piece_of_a_large_one(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poster_jobs, "PIECE", 1)
    campaign_id, people, _ = await make_crowd(resources, merchant, 3)
    large = await ask(api, campaign_id)
    small = await ask(api, campaign_id, participant_ids=people[:1])
    turns = []
    for _ in range(4):
        async with resources.db.system() as session:
            piece = await poster_jobs.claim(session, seconds=60)
        assert piece is not None
        turns.append(piece.job_id)
        async with resources.db.system() as session:
            drawn = [poster_jobs.Drawn(number, f"{number}.jpg", b"x") for number, _ in piece.posters]
            await poster_jobs.keep(session, piece, drawn)
    assert turns == [large["id"], small["id"], large["id"], large["id"]]


@pytest.mark.usefixtures("alone")
async def test_two_workers_that_drew_the_same_piece_store_it_once(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id, _, _ = await make_crowd(resources, merchant, 2)
    job = await ask(api, campaign_id)
    async with resources.db.system() as session:
        piece = await poster_jobs.claim(session, seconds=60)
    assert piece is not None
    drawn = [poster_jobs.Drawn(number, f"{number}.jpg", b"x") for number, _ in piece.posters]

    async def keep() -> None:
        async with resources.db.system() as session:
            await poster_jobs.keep(session, piece, drawn)

    await asyncio.gather(keep(), keep())
    done = await look(api, job)
    assert (done["done"], done["size_bytes"]) == (2, 2)


@pytest.mark.usefixtures("alone")
async def test_a_busy_renderer_is_asked_again_and_loses_no_poster(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Busy:
        async def render(self, _template: Template, _poster: PosterInput, _format: str) -> bytes:
            raise Unavailable("renderer_busy", "Too many pictures are being drawn; try again.", retry_after=1)

    campaign_id, _, _ = await make_crowd(resources, merchant, 1)
    job = await ask(api, campaign_id)
    with monkeypatch.context() as patch:
        patch.setattr(resources, "renderer", Busy())
        assert await draw_posters(resources) == 0
    waiting = await look(api, job)
    assert (waiting["status"], waiting["done"], waiting["failed"]) == ("running", 0, 0)


@pytest.mark.usefixtures("alone")
async def test_what_cannot_be_drawn_fails_alone_and_what_was_drawn_beside_it_is_kept(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Moody:
        """One poster after another: drawn, too slow, faulty, deadly, sent away."""

        def __init__(self) -> None:
            died = Unavailable("renderer_failed", "The picture could not be drawn; try again.", retry_after=5)
            busy = Unavailable("renderer_busy", "Too many pictures are being drawn; try again.", retry_after=1)
            self.answers: list[Exception | bytes] = [b"x", too_slow(), DrawingFault("Traceback"), died, busy, b"y"]

        async def render(self, _template: Template, _poster: PosterInput, _format: str) -> bytes:
            answer = self.answers.pop(0)
            if isinstance(answer, bytes):
                return answer
            raise answer

    campaign_id, people, codes = await make_crowd(resources, merchant, 5)
    job = await ask(api, campaign_id)
    with monkeypatch.context() as patch:
        patch.setattr(resources, "renderer", Moody())
        assert await draw_posters(resources) == 4
        waiting = await look(api, job)
        assert (waiting["status"], waiting["done"], waiting["failed"]) == ("running", 1, 3)
        async with resources.db.system() as session:
            await session.execute(update(Job).where(Job.id == job["id"]).values(leased_until=func.now() - timedelta(1)))
        assert await draw_posters(resources) == 1
    done = await look(api, job)
    assert (done["status"], done["done"], done["failed"]) == ("done", 2, 3)
    reasons = ["renderer_too_slow", "renderer_fault", "renderer_fault"]
    expected = [{"participant_id": who, "code": code} for who, code in zip(people[1:4], reasons, strict=True)]
    assert done["failures"] == expected
    assert set((await archive(api, done)).namelist()) == {f"{codes[0]}.jpg", f"{codes[4]}.jpg"}


@pytest.mark.usefixtures("alone")
async def test_a_template_whose_picture_is_gone_fails_poster_by_poster_and_says_why(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id, people, _ = await make_crowd(resources, merchant, 1)
    document = BUILTIN["distribution"].document.model_dump(mode="json")
    async with resources.db.tenant(merchant.test_id) as session:
        template = PosterTemplate(merchant_id=merchant.test_id, id=ids.new("tpl"), name="x", document=document)
        session.add(template)
        await session.flush()
        template_id = template.id
    job = await ask(api, campaign_id, all=True, template_id=template_id)
    broken = {**document, "background": {**document["background"], "asset": ids.new("ast")}}
    async with resources.db.tenant(merchant.test_id) as session:
        await session.execute(update(PosterTemplate).where(PosterTemplate.id == template_id).values(document=broken))
    await draw_posters(resources)
    done = await look(api, job)
    assert (done["status"], done["done"], done["failed"]) == ("done", 0, 1)
    assert done["failures"] == [{"participant_id": people[0], "code": "poster_template_invalid"}]
    assert (await archive(api, job)).namelist() == []


@pytest.mark.usefixtures("alone")
async def test_results_are_kept_for_some_days(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id, _, _ = await make_crowd(resources, merchant, 1)
    job = await ask(api, campaign_id)
    await draw_posters(resources)
    assert await forget_posters(resources) == 0
    for age, forgotten in (("3 days 1 minute", 0), ("3 days 2 hours", 1)):
        async with resources.db.system() as session:
            finished_at = func.now() - text(f"interval '{age}'")
            await session.execute(update(Job).where(Job.id == job["id"]).values(finished_at=finished_at))
        assert await forget_posters(resources) == forgotten
        late = await api.get(f"/v1/jobs/{job['id']}/result")
        assert (late.status_code, late.json()["code"]) == (409, "job_expired"), "while others may still download"
    assert (await look(api, job))["status"] == "expired"
    async with resources.db.system() as session:
        assert await session.scalar(select(func.count()).where(JobPoster.job_id == job["id"])) == 0


@pytest.mark.usefixtures("alone")
async def test_a_download_whose_pictures_go_meanwhile_breaks_off(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture
) -> None:
    campaign_id, _, _ = await make_crowd(resources, merchant, AT_ONCE + 1)
    asked = await ask(api, campaign_id)
    await draw_posters(resources)
    async with resources.db.tenant(merchant.test_id) as session:
        job = await poster_jobs.require_result(
            session, merchant_id=merchant.test_id, job_id=asked["id"], now=clock.utcnow()
        )
    download = zipped(resources, job)
    assert await anext(download)
    async with resources.db.system() as session:
        await session.execute(delete(JobPoster).where(JobPoster.job_id == job.id))
    with pytest.raises(Conflict, match="job_expired"):
        async for _ in download:
            pass


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({}, "validation_failed"),
        ({"all": True, "participant_ids": ["ptc_01h2xcejqtf2nbrexx3vqjhp41"]}, "validation_failed"),
        ({"participant_ids": []}, "validation_failed"),
        ({"participant_ids": ["x"]}, "validation_failed"),
        ({"participant_ids": ["ptc_01h2xcejqtf2nbrexx3vqjhp41"]}, "participant_not_found"),
        ({"all": True, "template_id": "tpl_01h2xcejqtf2nbrexx3vqjhp41"}, "poster_template_not_found"),
        ({"all": True, "format": "gif"}, "validation_failed"),
    ],
    ids=["nothing", "both", "nobody", "no id", "unknown person", "unknown template", "format"],
)
async def test_a_wish_that_does_not_fit_is_refused_and_leaves_no_job(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, wish: dict[str, Any], code: str
) -> None:
    campaign_id, _, _ = await make_crowd(resources, merchant, 1)
    refused = await api.post(f"/v1/campaigns/{campaign_id}/posters", json=wish)
    assert refused.json()["code"] == code
    async with resources.db.tenant(merchant.test_id) as session:
        assert await session.scalar(select(func.count()).select_from(Job)) == 0


async def test_a_campaign_without_participants_or_with_too_many_is_refused(
    api: httpx.AsyncClient, resources: Resources, merchant: MerchantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, _, _ = await make_crowd(resources, merchant, 0)
    refused = await api.post(f"/v1/campaigns/{empty}/posters", json={"all": True})
    assert (refused.status_code, refused.json()["code"]) == (422, "no_participants")
    monkeypatch.setattr(poster_jobs, "MOST_POSTERS", 1)
    crowded, _, _ = await make_crowd(resources, merchant, 2)
    refused = await api.post(f"/v1/campaigns/{crowded}/posters", json={"all": True})
    assert (refused.status_code, refused.json()["code"]) == (422, "too_many_posters")
