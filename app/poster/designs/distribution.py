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
        rect(40, 338, 670, 896, "#FFFFFF", radius=40, shadow={"dy": 18, "blur": 40, "colour": "#8A1D0A55"}),
        rect(76, 374, 598, 390, CREAM, radius=28, when="product"),
        disc(556, 650, 120, "#FFD9BD", blur=28, when="product"),
        sparkle(570, 630, 104, "#FFB98C", when="product"),
        sparkle(506, 706, 46, "#FFCDA8", when="product"),
        sparkle(620, 712, 30, "#FFC199", when="product"),
        rect(112, 412, 136, 46, {"stops": [RED, WARM], "angle": 0}, radius=23, when="product"),
        words(112, 413, 136, "好友推荐", 26, colour="#FFFFFF", align="center", line_height=1.7, when="product"),
        bold(112, 484, 526, "{product}", 44, min_size=34, colour=INK, lines=2, line_height=1.36, when="product"),
        bold(
            112,
            630,
            526,
            [{"text": "¥ ", "size": 48}, {"text": "{price}", "size": 96}],
            96,
            colour=RED,
            line_height=1.1,
        ),
        # Tear line
        notch(40, 806, 44, _AT_NOTCH, right=False),
        notch(710, 806, 44, _AT_NOTCH, right=True),
        *dashes(84, 805, 588, FAINT),
        bold(60, 836, 630, "长按识别二维码，马上参与", 32, colour=INK, align="center"),
        # All that is a person's own stands beside the code, which begins where a JPEG's rows of 16 do: 17 rows in all.
        qr(46, 892, 334, "#1A1110"),
        avatar(396, 930, 104, "#FFE3D3", 5),
        rect(520, 956, 142, 56, CREAM, radius=28),
        words(520, 957, 142, "推荐给你", 26, colour="#B42313", align="center", line_height=2.1),
        bold(396, 1042, 278, "{nickname}", 36, min_size=24, colour=INK),
        words(396, 1092, 290, "邀请你一起加入", 26, colour=GREY),
        rect(396, 1142, 270, 60, "#FFFFFF", radius=30, border={"width": 2, "colour": "#F6C9B1"}, when="invite_code"),
        words(396, 1147, 270, "邀请码 {invite_code}", 26, colour="#B42313", align="center", line_height=1.9),
        words(40, 1262, 670, "价格与活动规则以活动页面为准", 22, colour="#5F1206", align="center"),
    ],
}
