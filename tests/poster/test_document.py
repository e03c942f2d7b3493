"""What a designer may say of a layer, and what is said of it before it is used."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image, ImageChops

from app.kit.errors import Unprocessable
from app.poster import SAMPLE, PosterInput, check_template, load_template, render
from app.poster.render import picture

GROUND = {"paint": "#FFFFFF"}
CODE = {"type": "qr", "x": 200, "y": 900, "size": 340}
TEXT = {"type": "text", "x": 100, "y": 200, "width": 500, "text": "增长增长", "size": 60}
AVATAR = {"type": "avatar", "x": 100, "y": 200, "size": 200, "shape": "square"}
BAR = {"type": "shape", "x": 100, "y": 300, "width": 400, "height": 40, "fill": "#000000"}


@pytest.fixture
def logo() -> dict[str, bytes]:
    out = io.BytesIO()
    Image.new("RGB", (200, 200), "#FF8800").save(out, "PNG")
    return {"logo": out.getvalue()}


def drawn(*layers: dict[str, Any], **assets: bytes) -> Image.Image:
    return picture(load_template({"background": GROUND, "layers": layers}, assets), SAMPLE)


def ink(image: Image.Image) -> tuple[int, int, int, int]:
    """What is not white, above the QR."""
    box = ImageChops.invert(image.convert("L").crop((0, 0, 750, 890))).getbbox()
    assert box
    return box


def problems(*layers: dict[str, Any], assets: dict[str, bytes] | None = None) -> set[tuple[str, str, str]]:
    found = check_template(load_template({"background": GROUND, "layers": layers}, assets or {}))
    return {(problem.severity, problem.code, problem.pointer) for problem in found}


def test_a_layer_turns_clockwise_around_its_middle() -> None:
    flat, upright = ink(drawn(BAR)), ink(drawn({**BAR, "rotation": 90}))
    assert flat == (100, 300, 500, 340)
    assert upright == pytest.approx((280, 120, 320, 520), abs=1)
    leaning = drawn({**BAR, "rotation": 20})
    assert leaning.getpixel((140, 262)) == (0, 0, 0), "its left end goes up"
    assert leaning.getpixel((140, 378)) == (255, 255, 255)
    assert ImageChops.difference(drawn(BAR), drawn({**BAR, "rotation": 360})).getbbox() is None


@pytest.mark.parametrize("layer", [TEXT, AVATAR, BAR, {**TEXT, "text": "{nickname}"}])
def test_every_layer_fades_and_turns(layer: dict[str, Any]) -> None:
    full, half = drawn(layer).convert("L"), drawn({**layer, "opacity": 0.5}).convert("L")
    darkest, middle = full.getextrema()[0], half.getextrema()[0]
    assert isinstance(darkest, int | float)
    assert middle == pytest.approx(255 - (255 - darkest) / 2, abs=3)
    assert ink(drawn({**layer, "rotation": 30}))[1] < ink(full.convert("RGB"))[1]
    assert drawn({**layer, "opacity": 0}).convert("L").crop((0, 0, 750, 890)).getextrema() == (255, 255)


def test_what_overlaps_within_a_faded_layer_fades_once() -> None:
    bordered = {**BAR, "border": {"width": 10, "colour": "#000000"}, "opacity": 0.5}
    assert drawn(bordered).crop((102, 302, 498, 338)).getcolors() == [(396 * 36, (127, 127, 127))]


def test_letters_are_spaced_and_a_line_is_broken_by_its_spaced_width() -> None:
    narrow, wide = ink(drawn(TEXT)), ink(drawn({**TEXT, "letter_spacing": 20}))
    assert wide[2] - wide[0] == pytest.approx(narrow[2] - narrow[0] + 3 * 20, abs=1)
    right = ink(drawn({**TEXT, "letter_spacing": 20, "align": "right"}))
    assert right[2] == pytest.approx(600, abs=6), "no space hangs over the edge"
    assert problems({**TEXT, "width": 250}, CODE) == set()
    assert problems({**TEXT, "width": 250, "letter_spacing": 20}, CODE) == {("warning", "text_cut", "/layers/0")}


def test_scripts_whose_letters_join_stay_joined() -> None:
    arabic = {**TEXT, "text": "مرحبا"}
    assert ink(drawn({**arabic, "letter_spacing": 30})) == ink(drawn(arabic))


def test_outline_and_shadow_lie_around_and_below_the_letters() -> None:
    white = {**TEXT, "colour": "#FFFFFF"}
    outline = {"width": 4, "colour": "#FF0000"}
    plain, lined = ink(drawn(TEXT)), ink(drawn({**white, "outline": outline}))
    assert lined == pytest.approx((plain[0] - 4, plain[1] - 4, plain[2] + 4, plain[3] + 4), abs=2)
    shadow = {"dx": 30, "dy": 40, "blur": 0, "colour": "#000000"}
    cast = ink(drawn({**white, "shadow": shadow}))
    assert (cast[2], cast[3]) == (plain[2] + 30, plain[3] + 40)


def test_a_logo_lies_on_the_code_which_is_read_all_the_same(logo: dict[str, bytes], person: PosterInput) -> None:
    layer = {**CODE, "x": 150, "y": 860, "size": 420, "logo": {"asset": "logo"}}
    assert problems(layer, assets=logo) == set()
    image = picture(load_template({"background": GROUND, "layers": [layer]}, logo), person)
    assert image.getpixel((360, 1070)) == (255, 136, 0)
    assert problems({**layer, "size": 300}, assets=logo) >= {("error", "qr_too_small", "/layers/0")}
    with pytest.raises(Unprocessable):
        load_template({"background": GROUND, "layers": [{**layer, "level": "M"}]}, logo)
    with pytest.raises(Unprocessable) as refused:
        load_template({"background": GROUND, "layers": [layer]})
    assert [fault.pointer for fault in refused.value.errors] == ["/layers/0/logo/asset"]


def test_a_code_is_turned_as_far_as_it_can_be_read() -> None:
    assert problems({**CODE, "rotation": 180}) == set()
    faint = {**CODE, "opacity": 0.4}
    assert problems(faint) >= {("error", "qr_contrast", "/layers/0")}
    assert problems({**CODE, "x": 0, "rotation": 45}) >= {("error", "off_canvas", "/layers/0")}


def test_a_wider_quiet_zone_leaves_a_smaller_symbol() -> None:
    assert problems({**CODE, "size": 300, "quiet_zone": 4}) == set()
    assert problems({**CODE, "size": 300, "quiet_zone": 12}) >= {("error", "qr_too_small", "/layers/0")}


def test_a_layer_is_named_where_it_is_complained_of() -> None:
    layers = [{**TEXT, "name": "标语", "width": 30}, {**BAR, "x": 900}, {**AVATAR, "rotation": 45, "x": 0}, CODE]
    found = check_template(load_template({"background": GROUND, "layers": layers}))
    said = {(problem.severity, problem.code, problem.pointer) for problem in found}
    assert said == {
        ("error", "text_no_room", "/layers/0"),
        ("warning", "off_canvas", "/layers/1"),
        ("warning", "off_canvas", "/layers/2"),
    }
    assert found[0].detail.startswith("标语: ")


def test_a_poster_says_the_same_turned_layer_or_not(person: PosterInput) -> None:
    layers = [{**TEXT, "text": "{nickname}", "rotation": 15, "opacity": 0.7}, {**CODE, "rotation": 90}]
    template = load_template({"background": GROUND, "layers": layers})
    assert render(template, person) != render(template, replace(person, nickname="小红"))
