"""Encoding only what changed gives what encoding everything gives."""

from __future__ import annotations

import io
import random
from dataclasses import replace

import pytest
from PIL import Image

from app.poster import BUILTIN, PosterInput, Template, load_template, render
from app.poster.bake import baked_for
from app.poster.render import MOST_BYTES, QUALITIES, encode, picture
from app.poster.strips import ROW, changed
from proofs import poster_cases

GROUND = {"paint": {"stops": ["#204060", "#F0C0A0"], "angle": 35}}
CODE = {"type": "qr", "x": 200, "y": 900, "size": 340}


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def runs_of(template: Template, poster: PosterInput) -> tuple[tuple[int, int], ...]:
    values = poster.values()
    baked = baked_for(template, values)
    return changed(baked.stamps(poster, values), baked.base.size)


def assert_spliced_is_whole(template: Template, poster: PosterInput) -> None:
    whole = picture(template, poster)
    assert render(template, poster) == encode(whole, "jpeg")
    png = opened(render(template, poster, "png"))
    png.load()
    assert png.mode == "RGB"
    assert png.tobytes() == whole.tobytes()


@pytest.mark.parametrize("seed", range(12))
def test_random_posters_of_random_templates(seed: int) -> None:
    dice = random.Random(seed)
    template = poster_cases.template(dice)
    for poster in poster_cases.people(dice, 4):
        assert_spliced_is_whole(template, poster)


@pytest.mark.parametrize("name", BUILTIN)
def test_built_in_templates_change_in_few_strips_and_stay_whole(name: str, person: PosterInput) -> None:
    runs = runs_of(BUILTIN[name], person)
    assert 1 <= len(runs) <= 4
    assert sum(last - first for first, last in runs) < 42, "less than half of its rows"
    for nickname in ("小明", "", "明" * 40, "Z\u0351\u0352\u0353 شكرا", "👨‍👩‍👧‍👦"):
        assert_spliced_is_whole(BUILTIN[name], replace(person, nickname=nickname))


def test_strips_may_touch_the_first_and_the_last_row(person: PosterInput) -> None:
    ends = [{"type": "avatar", "x": 20, "y": y, "size": 60} for y in (-20, 1300)]
    middle = {"type": "text", "x": 20, "y": 500, "width": 600, "text": "{nickname}", "size": 40}
    template = load_template({"background": GROUND, "layers": [*ends, middle, CODE]})
    runs = runs_of(template, person)
    assert runs[0][0] == 0
    assert runs[-1][1] * ROW >= 1334
    assert len(runs) == 4
    assert_spliced_is_whole(template, person)


def test_a_template_that_changes_over_most_of_its_height_is_encoded_as_a_whole(person: PosterInput) -> None:
    column = {"type": "text", "x": 0, "y": 0, "width": 60, "text": "{nickname}", "size": 40, "lines": 8}
    columns = [{**column, "y": y} for y in range(0, 1334, 300)]
    template = load_template({"background": GROUND, "layers": [*columns, CODE]})
    poster = replace(person, nickname="明" * 40)
    assert sum(last - first for first, last in runs_of(template, poster)) > 0.85 * 84
    assert_spliced_is_whole(template, poster)
    assert render(template, poster, "png") == encode(picture(template, poster), "png")


def test_a_template_too_rich_for_quality_85_gets_the_best_that_is_small_enough(person: PosterInput) -> None:
    dice = random.Random(3)
    noise = Image.merge("RGB", [Image.frombytes("L", (750, 1334), dice.randbytes(750 * 1334)) for _ in range(3)])
    out = io.BytesIO()
    noise.save(out, "JPEG", quality=80)
    template = load_template({"background": {**GROUND, "asset": "noise"}, "layers": [CODE]}, {"noise": out.getvalue()})
    whole = picture(template, person)
    sizes = {quality: len(encode(whole, "jpeg", [quality])) for quality in QUALITIES}
    best = max(quality for quality, size in sizes.items() if size <= MOST_BYTES)
    assert best < QUALITIES[0]
    assert render(template, person) == encode(whole, "jpeg", [best])


def test_a_webp_is_given_on_request(person: PosterInput) -> None:
    image = opened(render(BUILTIN["distribution"], person, "webp"))
    assert (image.format, image.size) == ("WEBP", (750, 1334))
