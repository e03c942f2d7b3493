"""What is painted once for everybody gives what painting layer by layer gives."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from app.poster import BUILTIN, PosterInput, Template, layers, layout, load_template
from app.poster.bake import ground
from app.poster.document import AvatarLayer, Layer, QrLayer
from app.poster.render import picture
from app.poster.stamps import Stamp, press
from proofs import poster_cases

NICKNAMES = ("", "小明", "Wj" * 20, "Z\u0351\u0352\u0353g\u0330\u0331", "مرحبا 123", "👨‍👩‍👧‍👦🎉", "很长" * 40)
SHADOWED = {"dx": 90, "dy": -120, "blur": 40, "colour": "#300060FF"}


def layer_by_layer(template: Template, poster: PosterInput) -> Image.Image:
    """Nothing prepared, nothing left out: each layer in its turn."""
    values = poster.values()
    image = ground(template.document, template.assets)
    for layer in template.document.layers:
        if not layout.is_shown(layer, values):
            continue
        press(image, stamps_of(layer, template, poster))
    return image


def stamps_of(layer: Layer, template: Template, poster: PosterInput) -> list[Stamp]:
    if isinstance(layer, AvatarLayer | QrLayer):
        return layers.whole(layer, template.assets, poster)
    return layers.settled(layer, template.assets, poster.values())


def assert_same(template: Template, poster: PosterInput) -> None:
    assert picture(template, poster).tobytes() == layer_by_layer(template, poster).tobytes()


@pytest.mark.parametrize("seed", range(12))
def test_random_templates_whose_layers_lie_on_each_other(seed: int, person: PosterInput) -> None:
    dice = random.Random(1000 + seed)
    template = crowded(dice)
    for _ in range(3):
        days, code = dice.choice((None, 30)), dice.choice(("", "8a2b3c4d"))
        assert_same(template, replace(person, nickname=dice.choice(NICKNAMES), days=days, invite_code=code))


def crowded(dice: random.Random) -> Template:
    """Few places, so that much lies on each other; shadows that fall far; layers that hang on a value."""
    drawn = [layer.model_dump(mode="json") for layer in poster_cases.template(dice).document.layers]
    for layer in drawn:
        layer["x"], layer["y"] = dice.randint(0, 300), dice.randint(0, 500)
        if layer["type"] in ("shape", "text") and dice.random() < 0.4:
            layer["shadow"] = SHADOWED | {"dx": dice.randint(-150, 150), "dy": dice.randint(-150, 150)}
        if layer["type"] != "qr" and dice.random() < 0.4:
            layer["when"] = dice.choice(("nickname", "days", "invite_code", "title"))
    dice.shuffle(drawn)
    photo = {"photo": poster_cases.photo(dice)}
    return load_template({"background": {"paint": "#E0E8F0"}, "layers": drawn}, photo)


@pytest.mark.parametrize("rotation", [0, 35])
@pytest.mark.parametrize("kind", ["text", "shape"])
def test_what_lies_on_the_shadow_of_what_waits_stays_above_it(kind: str, rotation: int, person: PosterInput) -> None:
    outlined = {"outline": {"width": 9, "colour": "#FFFFFF"}}
    waiting: dict[str, Any] = {"type": "text", "text": "{nickname}", "size": 60, **outlined}
    if kind == "shape":
        waiting = {"type": "shape", "when": "invite_code", "height": 80, "fill": "#FFFFFF"}
    waiting |= {"x": 200, "y": 500, "width": 300, "rotation": rotation, "shadow": SHADOWED}
    tiles = [
        {"type": "shape", "x": x, "y": y, "width": 40, "height": 40, "fill": "#40C080A0"}
        for x in range(0, 720, 60)
        for y in range(150, 900, 60)
    ]
    code = {"type": "qr", "x": 200, "y": 940, "size": 340}
    for chunk in (tiles[::3], tiles[1::3], tiles[2::3]):
        template = load_template({"background": {"paint": "#E0E8F0"}, "layers": [waiting, *chunk[:70], code]})
        assert_same(template, person)


@pytest.mark.parametrize("name", BUILTIN)
def test_the_built_in_templates(name: str, person: PosterInput) -> None:
    for nickname in NICKNAMES:
        assert_same(BUILTIN[name], replace(person, nickname=nickname))


@pytest.mark.parametrize("seed", range(8))
def test_no_layer_paints_outside_of_its_reach(seed: int, person: PosterInput) -> None:
    dice = random.Random(2000 + seed)
    template = crowded(dice)
    for nickname in NICKNAMES:
        poster = replace(person, nickname=nickname)
        for layer in template.document.layers:
            left, top, right, bottom = layout.reach(layer)
            for stamp in stamps_of(layer, template, poster):
                inked = stamp.mask.getbbox() if stamp.mask else (0, 0, *stamp.size)
                if inked:
                    assert left <= stamp.x + inked[0]
                    assert top <= stamp.y + inked[1]
                    assert stamp.x + inked[2] <= right
                    assert stamp.y + inked[3] <= bottom
