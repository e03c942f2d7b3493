"""The poster that is drawn in the benchmarks: a template in use, and people of a campaign."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import replace

from PIL import Image, ImageDraw, ImageFilter

from app.poster import BUILTIN, PosterInput, Template, load_template, normalise_asset, normalise_avatar
from app.poster.symbols import ALPHABET

FAMILY_NAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗"
GIVEN_NAMES = "伟芳娜敏静丽强磊洋勇艳杰娟涛明超秀霞平刚桂英华文玉建国军志梅春红晓燕辉波宇婷欣怡子涵雨泽浩然梓轩诗"
NETWORK_NAMES = ("阳光🌻", "Amy", "努力的小王", "Kevin Zhang", "奔跑的蜗牛🐌", "小确幸", "Mr.Li", "静待花开")
SIZE = (750, 1334)
AVATAR, NICKNAME, CODE_LINE = (401, 935, 94), (396, 1042, 278), (415, 1156, 262)
CODE = (46, 892, 334)
LINK = "https://t.invitree.cn/i/{}?s=qr"


def drawn() -> Template:
    """The built-in template of distribution: gradients, cards, glows."""
    return BUILTIN["distribution"]


def photographic() -> Template:
    """What merchants make more often: a photograph across the canvas, a card for the person, a card for the code."""
    card = {"type": "shape", "fill": "#FFFFFF", "radius": 30}
    layers = [
        {"type": "text", "x": 56, "y": 122, "width": 620, "text": "{title}", "size": 72, "colour": "#FFFFFF"},
        {**card, "x": 40, "y": 370, "width": 670, "height": 160},
        {"type": "avatar", "x": 80, "y": 396, "size": 108},
        {"type": "text", "x": 212, "y": 396, "width": 450, "text": "{nickname}", "size": 38, "weight": "bold"},
        {"type": "text", "x": 212, "y": 452, "width": 450, "text": "邀请你一起加入", "size": 28},
        {**card, "x": 40, "y": 880, "width": 670, "height": 354},
        {"type": "qr", "x": 46, "y": 890, "size": 334},
        {"type": "text", "x": 396, "y": 952, "width": 290, "text": "长按识别二维码", "size": 36},
        {"type": "text", "x": 396, "y": 1093, "width": 270, "text": "邀请码 {invite_code}", "size": 26},
    ]
    background = {"paint": "#FFFFFF", "asset": "photo"}
    return load_template({"background": background, "layers": layers}, {"photo": _photograph()})


def campaign() -> PosterInput:
    return PosterInput(
        invite_url="",
        title="增长案例集",
        product="案例集纸质书与年度社群会员",
        price="59.00",
        days=30,
        inviter_days=30,
        merchant="运营研究社",
    )


def people(count: int, dice: random.Random) -> list[PosterInput]:
    """Each with a name and code of their own, and a picture that no cache knows."""
    return [_person(dice) for _ in range(count)]


def strangers(posters: list[PosterInput]) -> Iterator[PosterInput]:
    """The same people with pictures that look the same and are others: nothing decoded is found again."""
    for number, poster in enumerate(posters):
        marked = (poster.avatar or b"") + number.to_bytes(4, "big") + random.randbytes(8)
        yield replace(poster, avatar=marked)


def _person(dice: random.Random) -> PosterInput:
    code = "".join(dice.choices(ALPHABET, k=8))
    plain = dice.choice(FAMILY_NAMES) + "".join(dice.choices(GIVEN_NAMES, k=dice.choice((1, 2, 2))))
    nickname = dice.choice(NETWORK_NAMES) if dice.random() < 0.3 else plain
    picture = normalise_avatar(_portrait(dice))
    return replace(campaign(), invite_url=LINK.format(code), invite_code=code, nickname=nickname, avatar=picture)


def _portrait(dice: random.Random) -> bytes:
    image = _textured((400, 400), dice, 2)
    ImageDraw.Draw(image).ellipse((110, 80, 290, 300), fill=(230, 190, 160))
    return _jpeg(image)


def _photograph() -> bytes:
    return normalise_asset(_jpeg(_textured(SIZE, random.Random(5), 1)))


def _textured(size: tuple[int, int], dice: random.Random, blur: int) -> Image.Image:
    """Large soft forms under fine grain, as a camera sees the world."""
    few = (size[0] // 60, size[1] // 60)
    forms = Image.frombytes("RGB", few, dice.randbytes(few[0] * few[1] * 3)).resize(size, Image.Resampling.BICUBIC)
    grain = Image.frombytes("L", size, dice.randbytes(size[0] * size[1])).filter(ImageFilter.GaussianBlur(blur))
    return Image.blend(forms, Image.merge("RGB", [grain] * 3), 0.25)


def _jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()
