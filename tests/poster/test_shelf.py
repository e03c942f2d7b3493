"""Finished posters on disk: shared by processes, bounded, and never in the way of a poster."""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.poster import BUILTIN, PosterInput, fingerprint, normalise_avatar, render
from app.poster.renderer import Renderer
from app.poster.shelf import MOST_SECONDS, Shelf
from tests.poster.test_renderer import until

KEYS = [f"{number:02x}" * 32 for number in range(256)]
TEMPLATE = BUILTIN["distribution"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "posters"


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def test_what_one_process_drew_another_finds(folder: Path, person: PosterInput) -> None:
    drawn = render(TEMPLATE, person)
    for queue in (9, 0):  # the second may draw nothing
        renderer = Renderer(workers=1, queue=queue, shelf=Shelf(folder))
        assert await renderer.render(TEMPLATE, person) == drawn
        await renderer.close()


@pytest.mark.parametrize("broken", ["half", "empty", "another's"])
async def test_a_damaged_file_is_drawn_anew(folder: Path, person: PosterInput, broken: str) -> None:
    shelf, key = Shelf(folder), fingerprint(TEMPLATE, person)
    shelf.put(key, render(TEMPLATE, person))
    path = folder / key[:2] / key
    data = path.read_bytes()
    shelf.put(KEYS[0], b"another poster")
    other = (folder / KEYS[0][:2] / KEYS[0]).read_bytes()
    path.write_bytes({"half": data[: len(data) // 2], "empty": b"", "another's": other}[broken])
    renderer = Renderer(workers=1, shelf=shelf)
    assert await renderer.render(TEMPLATE, person) == render(TEMPLATE, person)
    await renderer.close()
    assert path.read_bytes() == data


async def test_where_nothing_can_be_kept_posters_come_all_the_same(tmp_path: Path, person: PosterInput) -> None:
    (tmp_path / "file").write_text("in the way")
    renderer = Renderer(workers=1, shelf=Shelf(tmp_path / "file" / "posters"))
    assert await renderer.render(TEMPLATE, person) == render(TEMPLATE, person)
    await renderer.close()


def test_a_folder_that_others_may_write_to_is_not_believed(folder: Path) -> None:
    shelf = Shelf(folder)
    shelf.put(KEYS[0], b"ours")
    assert shelf.get(KEYS[0]) == b"ours"
    folder.chmod(0o777)
    assert shelf.get(KEYS[0]) is None
    Shelf(folder).put(KEYS[1], b"ours")
    assert not (folder / KEYS[1][:2]).exists()


def test_the_folder_is_bounded_and_the_oldest_go_first(folder: Path) -> None:
    shelf = Shelf(folder, 16_000)
    for number in range(100):
        shelf.put(KEYS[number], bytes(1_000))
        written_at = time.time() - 100 + number
        os.utime(folder / KEYS[number][:2] / KEYS[number], (written_at, written_at))
        assert size(folder) <= 17_000
    assert shelf.get(KEYS[99]) == bytes(1_000)
    assert shelf.get(KEYS[0]) is None
    assert size(folder) > 10_000


def test_what_is_older_than_a_day_is_neither_given_nor_kept(folder: Path) -> None:
    shelf = Shelf(folder)
    shelf.put(KEYS[0], b"yesterday's")
    path = folder / KEYS[0][:2] / KEYS[0]
    long_ago = time.time() - MOST_SECONDS - 60
    os.utime(path, (long_ago, long_ago))
    assert shelf.get(KEYS[0]) is None
    Shelf(folder).put(KEYS[1], b"today's")
    assert not path.exists()


def test_processes_that_tidy_up_at_once_do_not_mind_each_other(folder: Path) -> None:
    shelves = [Shelf(folder, 4_000) for _ in range(4)]
    found = list[bytes | None]()

    def work(shelf: Shelf) -> None:
        for key in KEYS:
            shelf.put(key, key.encode() * 10)
            found.append(shelf.get(key))

    threads = [threading.Thread(target=work, args=[shelf]) for shelf in shelves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 * len(KEYS)
    assert {content for content in found if content} <= {key.encode() * 10 for key in KEYS}
    assert size(folder) <= 8_000


def test_another_name_code_picture_or_template_is_another_file(person: PosterInput, jpeg: bytes) -> None:
    others = [
        replace(person, nickname="小红"),
        replace(person, invite_code="zzzzzzzz"),
        replace(person, invite_url=f"{person.invite_url}2"),
        replace(person, avatar=normalise_avatar(jpeg)),
        replace(person, title="另一场活动"),
    ]
    keys = [fingerprint(TEMPLATE, poster) for poster in (person, *others)]
    keys += [fingerprint(BUILTIN["milestone"], person), fingerprint(TEMPLATE, person, "png")]
    assert len(set(keys)) == len(keys)
    assert fingerprint(TEMPLATE, replace(person)) == keys[0]


def test_a_folder_that_was_cleared_away_is_made_again(folder: Path) -> None:
    shelf = Shelf(folder)
    shelf.put(KEYS[0], b"ours")
    shutil.rmtree(folder)
    shelf.put(KEYS[1], b"ours")
    assert shelf.get(KEYS[1]) == b"ours"


@pytest.mark.parametrize("swap", ["opened", "linked"])
def test_a_folder_that_somebody_else_put_there_meanwhile_gets_nothing(folder: Path, swap: str) -> None:
    shelf = Shelf(folder)
    shelf.put(KEYS[0], b"ours")
    if swap == "opened":
        folder.chmod(0o777)
    else:
        folder.rename(folder.with_name("elsewhere"))
        folder.symlink_to(folder.with_name("elsewhere"))
    shelf.put(KEYS[1], b"ours")
    assert not (folder / KEYS[1][:2]).exists()
    assert shelf.get(KEYS[0]) is None


async def test_old_posters_go_although_nothing_is_put_there_any_more(folder: Path) -> None:
    Shelf(folder).put(KEYS[0], b"yesterday's")
    path = folder / KEYS[0][:2] / KEYS[0]
    long_ago = time.time() - MOST_SECONDS - 60
    os.utime(path, (long_ago, long_ago))
    renderer = Renderer(workers=1, shelf=Shelf(folder))
    renderer.keep_ready()
    await until(lambda: not path.exists())
    await renderer.close()


class Stuck(Shelf):
    """On a disk that takes its time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.freed = threading.Event()

    def put(self, key: str, content: bytes) -> None:
        self.freed.wait(30)
        super().put(key, content)


async def test_nobody_waits_for_a_slow_disk_and_what_was_drawn_is_kept_all_the_same(
    folder: Path, person: PosterInput
) -> None:
    shelf = Stuck(folder)
    renderer = Renderer(workers=1, shelf=shelf)
    drawn = await renderer.render(TEMPLATE, person)
    assert shelf.get(fingerprint(TEMPLATE, person)) is None
    shelf.freed.set()
    await renderer.close()
    assert shelf.get(fingerprint(TEMPLATE, person)) == drawn
