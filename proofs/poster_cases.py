"""Posters as nobody would design them: random templates, names that are hard to draw, random codes."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from typing import Any

from PIL import Image, ImageFilter

from app.poster import PosterInput, Template, load_template, normalise_avatar
from app.poster.document import CANVASES
from app.poster.symbols import ALPHABET

NAMES = (
    "",
    "小明",
    "很长" * 40,
    "欧阳娜娜🎉🎂",
    "👨‍👩‍👧‍👦👍🏽🇨🇳1️⃣☎️❤" * 4,
    "مرحبا 123 (علي) ABC",
    "שלום עולם",
    "สวัสดีครับน้ำ नमस्ते क्षत्रिय",
    "Z\u0351\u0352\u0353\u0354\u0355\u0356a\u030elgo",
    "Nguyễn Thị Đặng",
    "a\x00\u202eb\ud800\ufffec\n\t{nickname}%s",
    "\ue123꧁𓀀꧂\U0003fff0",
    "{title.__class__}'\"<script>",
    "龘䶮㛃𬭎靐齉",
    "김철수 ｶﾞｷﾞ「全角」",
    "WWWWWWWWWWWWWWWWWWWWWWWW",
)
LINKS = (
    "https://t.cn/i/{}?s=qr",
    "https://t.invitree.cn/i/{}?s=qr",
    "http://127.0.0.1:8000/i/{}?s=qr",
    "https://as-long-as-it-may-be.invitree.cn/abc/i/{}?s=qr",
)
TEXTS = (
    "{nickname}",
    "{nickname} 邀请你加入",
    "邀请码 {invite_code}",
    "{title}",
    "{days} 天",
    "¥ {price}",
    "满 100 减 {days}",
)


def photo(dice: random.Random, side: int = 400) -> bytes:
    """A picture with as much detail as a photograph."""
    noise = [Image.frombytes("L", (side, side), dice.randbytes(side * side)) for _ in range(3)]
    image = Image.merge("RGB", noise).filter(ImageFilter.GaussianBlur(dice.choice((1, 3, 8))))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def template(dice: random.Random) -> Template:
    """Its QR is on top and large enough; everything else lies, leans and overlaps as it happens."""
    width, height = dice.choice(CANVASES)
    layers = [_layer(dice, width, height) for _ in range(dice.randint(1, 9))]
    code = _qr(dice, width, height)
    background: dict[str, Any] = {"paint": {"stops": [_colour(dice), _colour(dice)], "angle": dice.randrange(360)}}
    if dice.random() < 0.4:
        background["asset"] = "photo"
    document = {"width": width, "height": height, "background": background, "layers": [*layers, code]}
    return load_template(document, {"photo": photo(dice)})


def people(dice: random.Random, count: int) -> Iterator[PosterInput]:
    """Every name in its turn, every other one with a picture."""
    names = dice.sample(NAMES, len(NAMES))
    for number in range(count):
        code = "".join(dice.choices(ALPHABET, k=8))
        yield PosterInput(
            invite_url=dice.choice(LINKS).format(code),
            nickname=names[number % len(names)],
            avatar=normalise_avatar(photo(dice, 64)) if number % 2 else None,
            invite_code=code,
            title="增长案例集",
            price="59.00",
            days=30,
        )


def _colour(dice: random.Random) -> str:
    return f"#{dice.randrange(1 << 24):06X}"


def _qr(dice: random.Random, width: int, height: int) -> dict[str, Any]:
    size = round(width * dice.uniform(0.5, 0.7))
    layer: dict[str, Any] = {
        "type": "qr",
        "x": dice.randint(0, width - size),
        "y": dice.randint(0, height - size),
        "size": size,
        "dark": dice.choice(("#000000", "#102040", "#401010")),
        "light": dice.choice(("#FFFFFF", "#FFF8E0")),
        "rotation": dice.choice((0, 0, 0, 90, 180)),
    }
    if dice.random() < 0.3:
        layer["logo"] = {"asset": "photo", "share": 0.18}
    return layer


def _layer(dice: random.Random, width: int, height: int) -> dict[str, Any]:
    kind = dice.choice(("shape", "image", "avatar", "text", "text", "text"))
    layer: dict[str, Any] = {"type": kind, "x": dice.randint(-60, width - 60), "y": dice.randint(-60, height - 60)}
    if dice.random() < 0.3:
        layer |= {"opacity": round(dice.uniform(0.2, 1), 2), "rotation": dice.randint(-180, 180)}
    return layer | {"shape": _shape, "image": _image, "avatar": _avatar, "text": _text}[kind](dice)


def _shape(dice: random.Random) -> dict[str, Any]:
    sized = {"width": dice.randint(10, 500), "height": dice.randint(10, 500)}
    more: dict[str, Any] = dice.choice(
        ({}, {"shadow": {}}, {"blur": 20}, {"border": {"width": 5, "colour": "#FFFFFF80"}})
    )
    return {**sized, "fill": _colour(dice) + dice.choice(("", "80")), "kind": dice.choice(("rect", "ellipse")), **more}


def _image(dice: random.Random) -> dict[str, Any]:
    return {"width": dice.randint(20, 300), "height": dice.randint(20, 300), "asset": "photo", "radius": 12}


def _avatar(dice: random.Random) -> dict[str, Any]:
    border = dice.choice((None, {"width": 5, "colour": "#FFFFFF"}))
    return {"size": dice.randint(40, 300), "shape": dice.choice(("round", "rounded", "square")), "border": border}


def _text(dice: random.Random) -> dict[str, Any]:
    return {
        "width": dice.randint(100, 700),
        "text": dice.choice(TEXTS),
        "size": dice.randint(20, 90),
        "min_size": dice.choice((None, 18)),
        "lines": dice.randint(1, 3),
        "colour": _colour(dice),
        "weight": dice.choice(("regular", "bold")),
        "align": dice.choice(("left", "center", "right")),
        "letter_spacing": dice.choice((0, 0, 8, -3)),
        "outline": dice.choice((None, {"width": 3, "colour": "#000000"})),
        "shadow": dice.choice((None, {"dx": 3, "dy": 3, "blur": 6, "colour": "#00000080"})),
    }
