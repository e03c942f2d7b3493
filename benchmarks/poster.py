"""Drawing one poster after another, each of another person: only the changed rows are encoded."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import qrcode
from PIL import Image

from app.poster import PosterInput, Template, png, render, symbols
from app.poster.bake import baked_for
from app.poster.process import STATUS
from app.poster.render import Format, picture
from benchmarks import poster_node, poster_plain, poster_scene
from benchmarks.rounds import Work, interleaved
from proofs.frame.command import Entry
from proofs.frame.report import Figure
from proofs.frame.stage import Stage

PEOPLE, QUICK_PEOPLE = 40, 12
ROUNDS = 7
MOST_OF_FULL, LEAST_OVER_PLAIN, LEAST_OVER_SATORI = 0.8, 10.0, 50.0
LEAST_OVER_PLAIN_PNG = 50.0
# What is promised of PNG is promised of a photograph, as most merchants' backgrounds are. Flat colours cost others
# a sixth of that, and us as much as ever: their figure stands beside, and promises nothing.
_PROMISED = "photo"
LEAST_OVER_ENCODER = 5.0
CODES = 400
PATIENCE = 600
LINK = poster_scene.LINK
Draw = Callable[[PosterInput], object]
_PLAIN = "plain Pillow + qrcode"


async def run_jpeg(_: Stage, quick: bool) -> Sequence[Figure]:
    people = poster_scene.people(QUICK_PEOPLE if quick else PEOPLE, random.Random(1))
    figures = []
    for name, template in _templates():
        whole, background = picture(template, people[0]), baked_for(template, people[0].values()).base
        file = png.encode(background)

        def full(_: PosterInput, whole: Image.Image = whole) -> None:
            whole.save(io.BytesIO(), "JPEG", quality=85, subsampling=2)

        def plain(person: PosterInput, file: bytes = file) -> None:
            poster_plain.poster(file, person, "JPEG", quality=85)

        def kept(person: PosterInput, background: Image.Image = background) -> None:
            poster_plain.poster(background, person, "JPEG", quality=85)

        draws = {"ours": _ours(template, "jpeg"), "full": full, "plain": plain, "kept": kept}
        took = await _milliseconds(people, draws)
        ours, remark = took["ours"], f"with the template decoded once {took['kept'] / took['ours']:.1f} ×"
        figures += [
            _at_most(f"poster-jpeg.{name}", ours, took["full"]),
            _at_least(f"poster-jpeg.{name}.pillow", ours, took["plain"], LEAST_OVER_PLAIN, _PLAIN, remark),
        ]
        if name == "drawn":
            figures += _beside_node(ours, poster_node.rivals(background, people[:8]))
    return [*figures, *_resources(people)]


async def run_png(_: Stage, quick: bool) -> Sequence[Figure]:
    people = poster_scene.people(QUICK_PEOPLE if quick else PEOPLE // 2, random.Random(2))
    figures = []
    for name, template in _templates():
        file = png.encode(baked_for(template, people[0].values()).base)

        def plain(person: PosterInput, file: bytes = file) -> bytes:
            return poster_plain.poster(file, person, "PNG")  # zlib's usual level, 6; no second pass

        took = await _milliseconds(people, {"ours": _ours(template, "png"), "plain": plain}, rounds=3)
        sizes = [len(data) // 1000 for data in (render(template, people[0], "png"), plain(people[0]))]
        remark = f"{sizes[0]} kB, plainly {sizes[1]} kB"
        figure = _at_least(f"poster-png.{name}", took["ours"], took["plain"], LEAST_OVER_PLAIN_PNG, _PLAIN, remark)
        figures.append(figure if name == _PROMISED else _unpromised(figure))
    return figures


async def run_qr(_: Stage, quick: bool) -> Sequence[Figure]:
    dice = random.Random(3)
    codes = ["".join(dice.choices(symbols.ALPHABET, k=8)) for _ in range(CODES // 4 if quick else CODES)]
    links = {code: LINK.format(code) for code in codes}
    began = time.perf_counter()
    side = symbols.symbol(links[codes[0]], codes[0]).side
    table = (time.perf_counter() - began) * 1_000
    fixed = {"version": (side - 17) // 4, "data_mask": symbols.MASK}

    def by_qrcode(code: str) -> object:
        other = qrcode.QRCode(version=fixed["version"], mask_pattern=fixed["data_mask"], border=0)
        other.add_data(links[code])
        other.make(fit=False)
        return other.modules

    works = {
        "table": lambda: [symbols.symbol(links[code], code) for code in codes],
        "encoder": lambda: [symbols.encode(links[code], "M", **fixed) for code in codes],
        "free": lambda: [symbols.encode(links[code], "M") for code in codes],
        "qrcode": lambda: [by_qrcode(code) for code in codes[:40]],
    }
    took = await interleaved({name: _async(work) for name, work in works.items()}, rounds=ROUNDS)
    ours, encoder, free = (took[name] / len(codes) * 1_000 for name in ("table", "encoder", "free"))
    remark = (
        f"table made in {table:.0f} ms; zxing-cpp with a free choice of mask {free:.3f} ms, "
        f"qrcode with a fixed one {took['qrcode'] / 40 * 1_000:.2f} ms"
    )
    return [_at_least("qr", ours, encoder, LEAST_OVER_ENCODER, "zxing-cpp with a fixed mask", remark)]


JPEG = Entry("poster-jpeg", run_jpeg, seconds=PATIENCE)
PNG = Entry("poster-png", run_png, seconds=PATIENCE)
QR = Entry("qr", run_qr, seconds=PATIENCE)


def _templates() -> Sequence[tuple[str, Template]]:
    return (("drawn", poster_scene.drawn()), ("photo", poster_scene.photographic()))


def _ours(template: Template, form: Format) -> Draw:
    return lambda person: render(template, person, form)


async def _milliseconds(
    people: Sequence[PosterInput], draws: Mapping[str, Draw], rounds: int = ROUNDS
) -> Mapping[str, float]:
    """A poster of each; every round has pictures that were never decoded before."""

    def work(draw: Draw) -> Work:
        return _async(lambda: [draw(person) for person in poster_scene.strangers(list(people))])

    took = await interleaved({name: work(draw) for name, draw in draws.items()}, rounds=rounds)
    return {name: seconds / len(people) * 1_000 for name, seconds in took.items()}


def _async(work: Callable[[], object]) -> Work:
    async def run() -> None:
        work()

    return run


def _at_most(name: str, ours: float, full: float) -> Figure:
    promise = f"≤ {MOST_OF_FULL:g} of a full-frame JPEG encode"
    return Figure(name, ours, "ms", full, ours / full, promise, ours / full <= MOST_OF_FULL)


def _unpromised(figure: Figure) -> Figure:
    return replace(figure, promise="", ok=True)


def _at_least(name: str, ours: float, other: float, least: float, of: str, *remarks: str) -> Figure:
    return Figure(name, ours, "ms", other, other / ours, f"≥ {least:g} × {of}", other / ours >= least, remarks)


def _beside_node(ours: float, rivals: Mapping[str, float | str]) -> list[Figure]:
    took = {name: value for name, value in rivals.items() if isinstance(value, float | int)}
    told = [f"{name} {value:.1f} ms" for name, value in took.items()]
    told += [f"{name} left out: {value}" for name, value in rivals.items() if name not in took]
    if "satori + resvg-js" not in took:
        return []
    satori = took["satori + resvg-js"]
    return [_at_least("poster-jpeg.satori", ours, satori, LEAST_OVER_SATORI, "satori + resvg-js", ", ".join(told))]


def _resources(people: Sequence[PosterInput]) -> list[Figure]:
    """Two processes beside one, and what a compiled template takes."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(_rate, [people] * 2))
        alone = pool.submit(_rate, people).result()
        both = sum(pool.map(_rate, [people] * 2))
        each = pool.submit(_compiled_size, people[0]).result()
    remarks = (f"one process {alone:.0f} posters/s, two {both:.0f}", f"{each / 1e6:.1f} MB for one compiled template")
    return [Figure("poster-jpeg.two", both, "1/s", alone, both / alone, "", ok=True, remarks=remarks)]


def _rate(people: Sequence[PosterInput]) -> float:
    template = poster_scene.drawn()
    render(template, people[0])
    drawn, began = 0, time.perf_counter()
    while time.perf_counter() - began < 1.5:
        drawn += len([render(template, person) for person in poster_scene.strangers(list(people))])
    return drawn / (time.perf_counter() - began)


def _compiled_size(person: PosterInput) -> float:
    """Bytes that a campaign more takes in a process that has drawn some already."""
    template = poster_scene.drawn()
    for number in range(2):
        _draw_both(template, replace(person, title=f"第{number}期"))
    before, count = _resident(), 6
    for number in range(count):
        _draw_both(template, replace(person, title=f"第{number}届"))
    return (_resident() - before) / count


def _draw_both(template: Template, person: PosterInput) -> None:
    render(template, person)
    render(template, person, "png")


def _resident() -> int:
    return int(STATUS.read_text("ascii").partition("VmRSS:")[2].split()[0]) * 1024
