"""The processes that draw: none is lost to a kill, none is left behind, and nobody waits without bound."""

from __future__ import annotations

import asyncio
import io
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from app.kit.errors import TooLarge, Unavailable, Unprocessable
from app.poster import BUILTIN, PosterInput, load_template, render
from app.poster.process import DrawingFault, TooSlow
from app.poster.renderer import Renderer
from app.poster.workers import Workers

TEMPLATE = BUILTIN["distribution"]
GLOW = {"type": "shape", "x": 0, "y": 0, "width": 4000, "height": 4000, "fill": "#000000", "blur": 200}
QR = {"type": "qr", "x": 60, "y": 60, "size": 300}
HEAVY = load_template({"background": {"paint": "#FFFFFF"}, "layers": [*[GLOW] * 79, QR]})  # minutes of work


def drawing(parent: int | None = None) -> set[int]:
    """Drawing processes below a process, this one by default."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            about = (folder / "stat").read_text("utf-8").rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(about[1]) == (parent or os.getpid()) and b"app.poster.process" in command:
            found.add(int(folder.name))
    return found


async def until(condition: Callable[[], bool]) -> None:
    def watch() -> None:
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end

    await asyncio.to_thread(watch)


@pytest.fixture
def before() -> set[int]:
    """Processes of the application that other tests use."""
    return drawing()


@pytest.fixture
async def renderer(before: set[int]) -> AsyncIterator[Renderer]:
    renderer = Renderer(workers=2)
    yield renderer
    await renderer.close()
    assert drawing() == before


def people(person: PosterInput, count: int) -> list[PosterInput]:
    return [replace(person, nickname=f"朋友{number}") for number in range(count)]


async def test_a_process_draws_what_this_one_would_draw(renderer: Renderer, person: PosterInput) -> None:
    assert await renderer.render(TEMPLATE, person) == render(TEMPLATE, person)
    assert await renderer.render(TEMPLATE, person, "png") == render(TEMPLATE, person, "png")


async def test_many_posters_take_no_more_processes_than_were_allowed(
    renderer: Renderer, before: set[int], person: PosterInput
) -> None:
    drawn = await asyncio.gather(*(renderer.render(TEMPLATE, poster) for poster in people(person, 12)))
    assert len(set(drawn)) == 12
    assert len(drawing() - before) == 2


async def test_killed_processes_are_replaced(renderer: Renderer, before: set[int], person: PosterInput) -> None:
    await asyncio.gather(*(renderer.render(TEMPLATE, poster) for poster in people(person, 4)))
    killed = drawing() - before
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert await renderer.render(TEMPLATE, replace(person, nickname="新人"))
    assert (drawing() - before).isdisjoint(killed)


async def test_a_job_whose_process_is_killed_is_done_by_another(before: set[int]) -> None:
    workers = Workers(1)
    job = asyncio.create_task(workers.run(5, select.select, [], [], [], 1))
    await until(lambda: drawing() != before)
    (killed,) = drawing() - before
    os.kill(killed, signal.SIGKILL)
    assert await job == ([], [], [])
    assert killed not in drawing()
    await workers.close()
    assert drawing() == before


async def test_who_leaves_in_the_middle_of_a_job_leaves_no_answer_for_the_next(before: set[int]) -> None:
    workers = Workers(1)
    job = asyncio.create_task(workers.run(5, select.select, [], [], [], 30))
    await until(lambda: drawing() != before)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert drawing() == before
    assert await workers.run(5, max, 1, 2) == 2
    await workers.close()


async def test_a_job_that_kills_every_process_is_given_up_and_the_next_is_done(before: set[int]) -> None:
    workers = Workers(1)
    with pytest.raises(Unavailable, match="renderer_failed"):
        await workers.run(5, os._exit, 1)
    assert await workers.run(5, max, 1, 2) == 2
    await workers.close()
    assert drawing() == before


async def test_who_comes_while_too_many_wait_is_sent_away(person: PosterInput) -> None:
    renderer = Renderer(workers=1, queue=2)
    posters = people(person, 5)
    answers = await asyncio.gather(*(renderer.render(TEMPLATE, p) for p in posters), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert [(error.code, error.status, error.retry_after) for error in refused] == [("renderer_busy", 503, 1)] * 3
    assert answers[:2] == [render(TEMPLATE, poster) for poster in posters[:2]]
    assert await renderer.render(TEMPLATE, posters[4])
    await renderer.close()


async def test_an_impatient_reader_takes_the_poster_from_nobody(renderer: Renderer, person: PosterInput) -> None:
    impatient, patient = (asyncio.create_task(renderer.render(TEMPLATE, person)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == render(TEMPLATE, person)
    assert impatient.cancelled()


async def test_readers_of_one_poster_share_one_drawing(before: set[int], person: PosterInput) -> None:
    renderer = Renderer(workers=2, queue=1)
    drawn = await asyncio.gather(*(renderer.render(TEMPLATE, person) for _ in range(50)))
    assert len(set(map(id, drawn))) == 1
    assert len(drawing() - before) == 1
    await renderer.close()


async def test_the_cache_keeps_what_was_used_last_within_its_bound(person: PosterInput) -> None:
    one, two, three = people(person, 3)
    size = len(render(TEMPLATE, one))
    renderer = Renderer(workers=1, cache_bytes=int(size * 2.5))
    first, second = await renderer.render(TEMPLATE, one), await renderer.render(TEMPLATE, two)
    assert await renderer.render(TEMPLATE, one) is first
    await renderer.render(TEMPLATE, three)
    assert await renderer.render(TEMPLATE, one) is first
    assert await renderer.render(TEMPLATE, two) is not second
    await renderer.close()


async def test_closing_ends_processes_at_work_and_at_rest_and_fails_what_waits(
    before: set[int], person: PosterInput
) -> None:
    renderer = Renderer(workers=2)
    await asyncio.gather(*(renderer.render(TEMPLATE, poster) for poster in people(person, 4)))
    jobs = [asyncio.create_task(renderer.render(HEAVY, poster)) for poster in people(person, 4)]
    await asyncio.sleep(0.05)
    await renderer.close()
    assert drawing() == before
    answers = await asyncio.gather(*jobs, return_exceptions=True)
    assert [error.code for error in answers if isinstance(error, Unavailable)] == ["renderer_failed"] * 4
    with pytest.raises(Unavailable, match="renderer_failed"):
        await renderer.render(TEMPLATE, replace(person, nickname="迟到"))
    assert drawing() == before


PARENT = """
import asyncio, uvloop
from app.poster import BUILTIN, PosterInput
from app.poster.renderer import Renderer

async def main():
    renderer = Renderer(workers=2)
    links = [f"https://t.invitree.cn/i/8a2b3c4{n}" for n in range(4)]
    await asyncio.gather(*(renderer.render(BUILTIN["distribution"], PosterInput(link)) for link in links))
    print("drawn", flush=True)
    await asyncio.sleep(60)

uvloop.run(main())
"""


def test_the_processes_of_a_killed_server_end_by_themselves() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "drawn\n"
        children = drawing(parent.pid)
        parent.kill()
    assert len(children) == 2
    asyncio.run(until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children)))


async def test_a_drawing_process_knows_no_secret(
    renderer: Renderer, before: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVITREE_SECRET_KEY", "hush")
    await renderer.normalise(pixels(), "avatar")
    (pid,) = drawing() - before
    assert environment(pid) == {b"PYTHONPATH"}


def environment(pid: int) -> set[bytes]:
    return {pair.partition(b"=")[0] for pair in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if pair}


def pixels() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "#336699").save(out, "PNG")
    return out.getvalue()


async def test_what_the_room_refuses_is_refused_with_its_code_and_status(renderer: Renderer) -> None:
    with pytest.raises(Unprocessable, match="picture_empty"):
        await renderer.normalise(b"", "avatar")
    with pytest.raises(TooLarge, match="picture_too_large"):
        await renderer.normalise(b"x" * (5 * 1024 * 1024 + 1), "background")
    assert [problem.code for problem in await renderer.check(load_template({"background": {"paint": "#FFFFFF"}}))] == [
        "qr_count"
    ]


async def test_a_fault_of_ours_comes_with_its_traceback() -> None:
    workers = Workers(1)
    with pytest.raises(DrawingFault, match=r"Traceback[\s\S]+ValueError: invalid literal"):
        await workers.run(5, int, "x")
    assert await workers.run(5, int, "7") == 7
    await workers.close()


async def test_what_its_parent_holds_makes_no_process_large(before: set[int]) -> None:
    ballast = b"x" * 450_000_000
    workers = Workers(1)
    assert await workers.run(5, max, 1, 2) == 2
    (pid,) = drawing() - before
    assert await workers.run(5, max, 1, 2) == 2
    assert drawing() - before == {pid}
    await workers.close()
    assert len(ballast) == 450_000_000


async def test_a_process_that_grew_large_gives_way_to_another(before: set[int]) -> None:
    workers = Workers(1)
    assert await workers.run(5, eval, "len(b'x' * 450_000_000)") == 450_000_000
    await until(lambda: drawing() == before)
    assert await workers.run(5, max, 1, 2) == 2
    (pid,) = drawing() - before
    assert await workers.run(5, max, 1, 2) == 2
    assert drawing() - before == {pid}
    await workers.close()


async def test_a_picture_that_takes_too_long_is_refused_for_good(before: set[int]) -> None:
    renderer = Renderer(workers=1, seconds=0.01)
    out = io.BytesIO()
    Image.effect_noise((3000, 3000), 50).save(out, "JPEG", progressive=True, quality=30)
    with pytest.raises(Unprocessable, match="picture_too_slow"):
        await renderer.normalise(out.getvalue(), "background")
    assert len(drawing() - before) == 1
    await renderer.close()


async def test_a_template_that_takes_too_long_is_given_up_and_costs_no_process(
    before: set[int], person: PosterInput
) -> None:
    renderer = Renderer(workers=1, seconds=0.01)
    with pytest.raises(Unprocessable, match="poster_template_too_slow"):
        await renderer.check(HEAVY)
    with pytest.raises(TooSlow) as caught:
        await renderer.render(HEAVY, person)
    assert (caught.value.status, caught.value.code) == (503, "renderer_too_slow")
    assert len(drawing() - before) == 1
    await renderer.close()
