from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from app.kit.errors import Unprocessable
from app.poster import BUILTIN, PosterInput, check, check_template, load_template, qr, render
from app.poster.document import Document, Level
from app.poster.render import picture

GROUND = {"paint": "#FFFFFF"}
CODE = {"type": "qr", "x": 200, "y": 900, "size": 340}


def faults(document: dict[str, Any], assets: dict[str, bytes] | None = None) -> dict[str, str]:
    with pytest.raises(Unprocessable) as refused:
        load_template(document, assets)
    assert refused.value.code == "poster_template_invalid"
    return {fault.pointer: fault.detail for fault in refused.value.errors}


def problems(*layers: dict[str, Any], **more: Any) -> set[tuple[str, str, str]]:
    found = check_template(load_template({"background": GROUND, "layers": layers, **more}))
    return {(problem.severity, problem.code, problem.pointer) for problem in found}


@pytest.mark.parametrize("name", BUILTIN)
def test_the_built_in_templates_have_no_problem(name: str) -> None:
    assert check_template(BUILTIN[name]) == []


@pytest.mark.parametrize(
    ("layer", "pointer"),
    [
        ({"type": "text", "x": 0, "y": 0, "width": 100, "text": "{nickname", "size": 30}, "/layers/0/text"),
        ({"type": "text", "x": 0, "y": 0, "width": 100, "text": "{phone}", "size": 30}, "/layers/0/text"),
        (
            {"type": "text", "x": 0, "y": 0, "width": 100, "text": "{title.__class__}", "size": 30},
            "/layers/0/text",
        ),
        ({"type": "text", "x": 0, "y": 0, "width": 100, "text": "a", "size": 3}, "/layers/0/size"),
        ({"type": "text", "x": 0, "y": 0, "width": 100, "text": "a", "size": 30, "colour": "red"}, "/layers/0/colour"),
        ({"type": "text", "x": 0, "y": 0, "width": 100, "text": "a", "size": 30, "font": "x"}, "/layers/0/font"),
        ({"type": "shape", "x": 0, "y": 0, "width": 9, "height": 9, "fill": "#12"}, "/layers/0/fill"),
        (
            {"type": "shape", "x": 0, "y": 0, "width": 9, "height": 9, "fill": {"stops": ["#000000", "#12"]}},
            "/layers/0/fill/stops/1",
        ),
        (
            {"type": "text", "x": 0, "y": 0, "width": 9, "size": 30, "text": [{"text": "a"}, {"text": "{phone}"}]},
            "/layers/0/text/1/text",
        ),
        ({"type": "text", "x": 0, "y": 0, "width": 9, "size": 30, "text": [{"size": 20}]}, "/layers/0/text/0/text"),
        ({"type": "shape", "x": 0, "y": 0, "width": 9, "height": 9, "kind": "polygon"}, "/layers/0"),
        ({"type": "qr", "x": 0, "y": "left", "size": 300}, "/layers/0/y"),
        ({"type": "video"}, "/layers/0"),
        ({"type": "avatar", "x": 0, "y": 0}, "/layers/0/size"),
        (
            {"type": "avatar", "x": 0, "y": 0, "size": 40, "border": {"width": 20, "colour": "#000000"}},
            "/layers/0",
        ),
    ],
)
def test_a_faulty_layer_is_pointed_at(layer: dict[str, Any], pointer: str) -> None:
    assert set(faults({"background": GROUND, "layers": [layer]})) == {pointer}


def test_a_faulty_document_is_pointed_at() -> None:
    assert set(faults({})) == {"/background"}
    assert set(faults({"background": GROUND, "width": 1})) == {""}
    assert set(faults({"background": GROUND, "version": 2})) == {"/version"}
    assert set(faults({"background": {"paint": {"stops": []}}})) == {"/background/paint/stops"}


def test_pictures_that_are_named_must_be_given_and_fit() -> None:
    document = {
        "background": {**GROUND, "asset": "ast_1"},
        "layers": [CODE, {"type": "image", "x": 0, "y": 0, "width": 9, "height": 9, "asset": "ast_2"}],
    }
    found = faults(document, {"ast_2": b"<svg/>"})
    assert set(found) == {"/background/asset", "/layers/1/asset"}


@pytest.mark.parametrize(("width", "height"), [(750, 1334), (720, 1280), (1080, 1920)])
def test_all_canvases_are_rendered(width: int, height: int, person: PosterInput) -> None:
    template = load_template({"width": width, "height": height, "background": GROUND, "layers": [CODE]})
    assert picture(template, person).size == (width, height)


def test_pictures_shapes_and_texts_are_painted_in_order(person: PosterInput, jpeg: bytes) -> None:
    layers = [
        {"type": "image", "x": 100, "y": 100, "width": 400, "height": 300, "asset": "photo", "radius": 20},
        {"type": "text", "x": 100, "y": 160, "width": 400, "text": "{nickname}", "size": 60, "colour": "#00FF00"},
        {"type": "shape", "x": 100, "y": 300, "width": 400, "height": 50, "fill": "#000000"},
        {"type": "shape", "x": 100, "y": 160, "width": 20, "height": 84, "fill": "#FFFF00"},
        CODE,
    ]
    image = picture(load_template({"background": GROUND, "layers": layers}, {"photo": jpeg}), person)
    assert image.getpixel((101, 101)) == (255, 255, 255)
    assert image.getpixel((300, 320)) == (0, 0, 0)
    assert image.getpixel((110, 200)) == (255, 255, 0), "a layer above a person's text must stay above it"
    left = image.getpixel((150, 280))
    assert isinstance(left, tuple)
    assert left[0] > 150
    greens = image.crop((100, 160, 500, 244)).getcolors(maxcolors=100_000) or []
    assert any(colour == (0, 255, 0) for _, colour in greens)


def test_values_cannot_smuggle_placeholders(person: PosterInput) -> None:
    layer = {"type": "text", "x": 0, "y": 0, "width": 700, "text": "{title}", "size": 60}
    template = load_template({"background": GROUND, "layers": [layer, CODE]})
    poster = PosterInput(invite_url=person.invite_url, title="{price}{nope}")
    assert render(template, poster) != render(template, PosterInput(invite_url=person.invite_url))


def test_a_poster_needs_one_code_that_can_be_read() -> None:
    assert problems() == {("error", "qr_count", "/layers")}
    assert problems(CODE, {**CODE, "y": 300}) == {("error", "qr_count", "/layers")}
    assert problems({**CODE, "size": 150}) >= {("error", "qr_too_small", "/layers/0")}
    assert problems({**CODE, "x": 600}) >= {("error", "off_canvas", "/layers/0")}
    assert problems({**CODE, "dark": "#DDDDDD"}) >= {("error", "qr_contrast", "/layers/0")}
    assert problems({**CODE, "dark": "#FFFFFF", "light": "#000000"}) >= {("error", "qr_contrast", "/layers/0")}
    cover = {"type": "shape", "x": 230, "y": 930, "width": 150, "height": 150, "fill": "#FFFFFF"}
    assert problems(CODE, cover) == {("error", "qr_unreadable", "/layers/0")}


def test_nothing_that_differs_from_poster_to_poster_lies_over_the_code() -> None:
    face = {"type": "avatar", "x": 190, "y": 890, "size": 40}
    line = {"type": "text", "x": 100, "y": 880, "width": 300, "text": "{nickname}", "size": 24}
    covered = ("error", "qr_covered", "/layers/1")
    assert covered in problems(CODE, face)
    assert covered in problems(CODE, line)
    assert covered in problems(CODE, {**line, "y": 850, "x": 40, "rotation": 45})
    assert problems(face, line, CODE) == set()
    assert problems(CODE, {**line, "text": "长按"}) == set(), "the sample shows what it hides"
    assert problems(CODE, {**face, "y": 860}, {**line, "y": 800}) == set()


def test_text_that_is_cut_missing_or_off_the_canvas_is_warned_of() -> None:
    line = {"type": "text", "x": 10, "y": 10, "width": 60, "text": "增长案例集", "size": 40}
    assert problems(line, CODE) == {("warning", "text_cut", "/layers/0")}
    assert problems({**line, "width": 300, "text": "增长\ue123"}, CODE) == {("warning", "glyph_missing", "/layers/0")}
    assert problems({**line, "width": 900}, CODE) == {("warning", "off_canvas", "/layers/0")}
    assert problems({**line, "width": 150, "min_size": 24}, CODE) == set()


def test_a_code_must_be_large_enough_with_every_link_that_there_may_be() -> None:
    """At 330 pixels the densest symbol is 264 pixels wide, that of an ordinary link 232."""
    large = {"width": 1080, "height": 1920}
    assert problems({**CODE, "size": 330}, **large) == {("error", "qr_too_small", "/layers/0")}
    assert problems({**CODE, "size": 340}, **large) == set()


@pytest.mark.parametrize("level", ["M", "Q", "H"])
def test_the_links_that_are_tried_make_every_symbol_that_there_may_be(level: Level) -> None:
    every = [f"http://{'x' * length}/i/8a2b3c4d?s=qr" for length in range(1, 38)]
    assert (len(every[0]), len(every[-1])) == (24, 60)
    tried = [qr.modules(f"{link}8a2b3c4d", level).width for link in check.links(level)]
    assert sorted(tried) == sorted({qr.modules(link, level).width for link in every})


def test_a_code_under_a_logo_is_read_with_short_and_long_links(jpeg: bytes) -> None:
    code = {**CODE, "size": 400, "logo": {"asset": "logo", "share": 0.3}}
    assert check_template(load_template({"background": GROUND, "layers": [code]}, {"logo": jpeg})) == []


def test_long_names_and_titles_are_tried_out() -> None:
    narrow = {"type": "text", "x": 20, "y": 20, "width": 110, "text": "{nickname}", "size": 40, "lines": 1}
    assert problems(narrow, CODE) == {("warning", "text_cut", "/layers/0")}
    title = {**narrow, "text": "{title}", "width": 400, "min_size": 24}
    assert problems({**title, "width": 700, "lines": 2}, CODE) == set()


def test_a_character_that_no_font_has_is_told_also_where_it_is_cut_off() -> None:
    layer = {"type": "text", "x": 20, "y": 20, "width": 300, "text": "很长" * 20 + "\ue123", "size": 40, "name": "标语"}
    found = check_template(load_template({"background": GROUND, "layers": [layer, CODE]}))
    assert [(problem.code, problem.pointer) for problem in found] == [
        ("text_cut", "/layers/0"),
        ("glyph_missing", "/layers/0"),
    ]
    assert all(problem.detail.startswith("标语: ") for problem in found)


def test_the_pictures_of_a_template_are_bounded_together(jpeg: bytes) -> None:
    image = {"type": "image", "x": 0, "y": 0, "width": 1000, "height": 1000, "asset": "photo"}
    load_template({"background": GROUND, "layers": [*[image] * 15, CODE]}, {"photo": jpeg})
    found = faults({"background": GROUND, "layers": [*[image] * 16, CODE]}, {"photo": jpeg})
    assert set(found) == {"/layers"}
    heavy = {f"photo{number}": jpeg + b"\0" * 3_000_000 for number in range(3)}
    small = [{**image, "width": 9, "height": 9, "asset": name} for name in heavy]
    assert set(faults({"background": GROUND, "layers": small}, heavy)) == {"/layers"}


def test_the_document_has_a_schema_and_survives_storage() -> None:
    schema = Document.model_json_schema()
    assert {"background", "layers"} <= set(schema["properties"])
    stored = BUILTIN["distribution"].document.model_dump(mode="json")
    assert load_template(stored) == BUILTIN["distribution"]


def test_decoration_may_lie_partly_off_the_canvas(person: PosterInput) -> None:
    glow = {"type": "shape", "kind": "ellipse", "x": -90, "y": -90, "width": 200, "height": 200, "fill": "#FF0000"}
    border = {"width": 4, "colour": "#00FF00"}
    layers = [{**glow, "blur": 60, "shadow": {}}, {**glow, "x": 700, "border": border}, CODE]
    template = load_template({"background": GROUND, "layers": layers})
    assert check_template(template) == []
    image: Image.Image = picture(template, person)
    assert image.getpixel((0, 0)) != (255, 255, 255)
    assert image.getpixel((400, 600)) == (255, 255, 255)
