"""The people of the demonstration: names with emoji, drawn avatars, phone numbers that belong to nobody else."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
_GIVEN = (
    "子涵 欣怡 梓轩 浩然 诗琪 雨桐 宇航 思远 佳宁 明哲 若曦 一诺 书瑶 俊杰 静怡 "
    "博文 晓彤 志强 丽娜 建国 小满 知夏 念安 清越 沐阳 嘉禾 南星 云舒 承恩 语嫣"
)
_DECORATIONS = ("", "", "", "", "🌸", "✨", "☀️", "🍀", "👩‍💻", "🐼", "🎈", "👍🏻", "🇨🇳", "☕")
_PALETTE = ("#f6c28b", "#f2a7a0", "#a8d5ba", "#9ec5e8", "#cdb4db", "#ffe08a", "#b8c0ff", "#f7b7d2")


@dataclass(frozen=True, slots=True)
class Person:
    """`phone` is of a range that no network has assigned to people."""

    external_id: str
    nickname: str
    phone: str
    real_name: str


def make_person(number: int, rng: random.Random) -> Person:
    name = rng.choice(_SURNAMES) + rng.choice(_GIVEN.split())
    return Person(
        external_id=f"user-{number:05d}",
        nickname=name + rng.choice(_DECORATIONS),
        phone=f"+86170{rng.randrange(10**8):08d}",
        real_name=name,
    )


def draw_avatar(rng: random.Random) -> bytes:
    """A face of a few shapes, as a PNG of 256 pixels square."""
    picture = Image.new("RGB", (256, 256), rng.choice(_PALETTE))
    draw = ImageDraw.Draw(picture)
    skin = rng.choice(("#ffe2c8", "#f8d0ae", "#eebb91"))
    hair = rng.choice(("#2c2326", "#4a332a", "#6b4a33"))
    draw.ellipse((36, 178, 220, 340), fill=rng.choice(("#3d6b8e", "#b5523b", "#5a7d4f", "#6c5b9e")))
    draw.ellipse((62, 34, 194, 178), fill=hair)
    draw.ellipse((74, 62, 182, 196), fill=skin)
    draw.pieslice((70, 40, 186, 150), 180, 360, fill=hair)
    for x in (104, 146):
        draw.ellipse((x, 122, x + 11, 133), fill="#2c2326")
    draw.arc((108, 134, 148, 168), 20, 160, fill="#a8483a", width=5)
    for x in (84, 154):
        draw.ellipse((x, 142, x + 20, 154), fill="#f5a99a")
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
