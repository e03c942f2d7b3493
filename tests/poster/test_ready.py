"""Drawing processes that are warm before somebody waits for them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from app.poster import BUILTIN, bake, faces
from app.poster.rehearsal import rehearse
from app.poster.workers import Workers
from tests.poster.test_renderer import drawing, until


def rehearsed(folder: Path) -> set[int]:
    return {int(path.name) for path in folder.iterdir()}


class Rehearsal:
    """Leaves its process's number behind. Picklable, as a function of the room is."""

    def __init__(self, folder: Path, fault: bool = False) -> None:
        self._folder, self._fault = folder, fault
        self.__name__ = "rehearsal"

    def __call__(self) -> None:
        (self._folder / str(os.getpid())).touch()
        if self._fault:
            os._exit(1)


def resting(workers: Workers, count: int) -> Callable[[], bool]:
    return lambda: len(workers._idle) == count


async def test_all_processes_rehearse_before_there_is_a_job(tmp_path: Path) -> None:
    before, workers = drawing(), Workers(2)
    workers.keep_ready(5, Rehearsal(tmp_path))
    await until(resting(workers, 2))
    assert drawing() - before == rehearsed(tmp_path)
    assert await workers.run(5, os.getpid) in rehearsed(tmp_path)
    await workers.close()
    assert drawing() == before


async def test_one_that_is_killed_at_rest_or_at_work_has_a_warm_successor(tmp_path: Path) -> None:
    before, workers = drawing(), Workers(2)
    workers.keep_ready(5, Rehearsal(tmp_path))
    await until(resting(workers, 2))
    first = rehearsed(tmp_path)
    os.kill(min(first), signal.SIGKILL)
    await until(lambda: len(rehearsed(tmp_path)) == 3 and len(workers._idle) == 2)
    assert min(first) not in drawing()
    await workers.run(5, eval, "len(b'x' * 450_000_000)")  # so large that it gives way to another
    await until(lambda: len(rehearsed(tmp_path)) == 4 and len(workers._idle) == 2)
    assert drawing() - before < rehearsed(tmp_path)
    await workers.close()
    assert drawing() == before


async def test_a_rehearsal_that_fails_stops_no_job_and_is_not_tried_all_the_time(tmp_path: Path) -> None:
    before, workers = drawing(), Workers(1)
    workers.keep_ready(5, Rehearsal(tmp_path, fault=True))
    await until(lambda: len(rehearsed(tmp_path)) == 1 and drawing() == before)
    assert await workers.run(5, max, 1, 2) == 2
    assert len(rehearsed(tmp_path)) == 1
    await workers.close()
    assert drawing() == before


async def test_closing_in_the_middle_of_a_rehearsal_leaves_no_process(tmp_path: Path) -> None:
    before, workers = drawing(), Workers(2)
    workers.keep_ready(5, rehearse)
    await until(lambda: drawing() != before)
    await workers.close()
    assert drawing() == before


def test_a_rehearsal_touches_every_font_and_built_in_template() -> None:
    faces.coverage.cache_clear()
    faces.choose.cache_clear()
    bake._bake_ground.cache_clear()
    rehearse()
    assert bake._bake_ground.cache_info().currsize == len(BUILTIN)
    assert faces.coverage.cache_info().currsize == len(list(faces.FOLDER.glob("*.[ot]tf")))
