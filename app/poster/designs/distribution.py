"""A product that people recommend: warm, loud, the price as its largest figure."""

from __future__ import annotations

from typing import Any

from app.poster.designs.brushes import (
    FAINT,
    GREY,
    INK,
    avatar,
    bold,
    dashes,
    disc,
    notch,
    qr,
    rect,
    ring,
    sparkle,
    words,
)

RED, WARM, CREAM = "#E8331F", "#FF7A3D", "#FFF4EC"
# What the ground and the card's shadow are where its notches cut in.
_AT_NOTCH = "#ED6E37"

DOCUMENT: dict[str, Any] = {
    "width": 750,
    "height": 1334,
    "background": {"paint": {"stops": ["#E22B1E", "#F4502F", "#FF7F3F", "#FFA057"], "angle": 90}},
    "layers": [
        disc(690, 90, 520, "#FFFFFF14"),
        disc(690, 90, 340, "#FFFFFF14"),
        disc(60, 470, 300, "#FFC46B", blur=90, opacity=0.55),
        disc(700, 420, 260, "#FFD98A", blur=80, opacity=0.5),
        ring(40, 1290, 260, 26, "#FFFFFF1F"),
        sparkle(640, 100, 64, "#FFE7A8"),
        sparkle(566, 62, 28, "#FFFFFFCC"),
        sparkle(694, 210, 34, "#FFFFFFB3"),
        # Headline
        rect(56, 64, 10, 34, "#FFE7A8", radius=5, when="merchant"),
        words(80, 56, 440, "{merchant}", 30, colour="#FFF1E6"),
        bold(56, 122, 600, "{title}", 72, min_size=52, colour="#FFFFFF", lines=2, line_height=1.25),
        # Card
        rect(40, 352, 670, 880, "#FFFFFF", radius=40, shadow={"dy": 18, "blur": 40, "colour": "#8A1D0A55"}),
        # Picture and code begin where a JPEG's rows of 16 do: two rows less are a person's own.
        avatar(80, 395, 106, "#FFE3D3", 5),
        bold(212, 396, 450, "{nickname}", 38, min_size=32, colour=INK),
        words(212, 452, 450, "邀请你一起加入", 28, colour=GREY),
        rect(80, 536, 590, 290, CREAM, radius=28, when="product"),
        rect(112, 566, 128, 44, {"stops": [RED, WARM], "angle": 0}, radius=22, when="product"),
        words(112, 567, 128, "好友推荐", 24, colour="#FFFFFF", align="center", line_height=1.75, when="product"),
        bold(112, 622, 526, "{product}", 36, min_size=30, colour=INK, lines=2, line_height=1.35, when="product"),
        bold(
            112,
            730,
            526,
            [{"text": "¥ ", "size": 40}, {"text": "{price}", "size": 72}],
            72,
            colour=RED,
            line_height=1.1,
        ),
        # Tear line
        notch(40, 868, 44, _AT_NOTCH, right=False),
        notch(710, 868, 44, _AT_NOTCH, right=True),
        *dashes(84, 867, 588, FAINT),
        # Code
        qr(46, 892, 334, "#1A1110"),
        bold(396, 952, 290, "长按识别二维码", 36, min_size=30, colour=INK),
        words(396, 1012, 290, "查看详情，马上参与", 27, colour=GREY),
        rect(396, 1086, 270, 64, CREAM, radius=32, when="invite_code"),
        words(396, 1093, 270, "邀请码 {invite_code}", 26, colour="#B42313", align="center", line_height=1.9),
        words(40, 1260, 670, "价格与活动规则以活动页面为准", 22, colour="#5F1206", align="center"),
    ],
}
