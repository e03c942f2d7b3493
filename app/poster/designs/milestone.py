"""Steps to climb: dusk violet, three stairs with a gift on each, the last one golden."""

from __future__ import annotations

from typing import Any

from app.poster.designs.brushes import GREY, INK, Layer, avatar, bold, disc, qr, rect, ring, sparkle, words

DEEP, GOLD, ROSE = "#4C1D95", "#FFD166", "#FF8FA3"
_SOFT = "#EDE4FF"


def _gift(x: int, y: int, size: int, box: str, ribbon: str) -> list[Layer]:
    """A parcel by the middle of its foot."""
    wide, lid, band = size, size // 4, size // 6
    left, top = x - wide // 2, y - size
    bow = size // 3
    return [
        disc(x - bow // 2, top + 2, bow, border={"width": max(3, size // 16), "colour": ribbon}),
        disc(x + bow // 2, top + 2, bow, border={"width": max(3, size // 16), "colour": ribbon}),
        rect(left + size // 14, top + lid, wide - size // 7, size - lid, box, radius=size // 12),
        rect(
            left, top + bow // 3, wide, lid, box, radius=size // 14, shadow={"dy": 3, "blur": 6, "colour": "#0000002E"}
        ),
        rect(x - band // 2, top + bow // 3, band, size - bow // 3, ribbon),
    ]


def _stair(x: int, top: int, paint: Any, text: str, colour: str) -> list[Layer]:
    return [
        rect(x, top, 198, 640 - top, paint, radius=22, shadow={"dy": 10, "blur": 24, "colour": "#1E0A4A4D"}),
        bold(x + 8, 572, 182, text, 30, colour=colour, align="center"),
    ]


DOCUMENT: dict[str, Any] = {
    "width": 750,
    "height": 1334,
    "background": {"paint": {"stops": ["#3B1380", "#6D28D9", "#B25CF0", "#FF9EC4"], "angle": 80}},
    "layers": [
        disc(640, 120, 420, "#FFFFFF14"),
        disc(60, 420, 360, "#FFFFFF0F"),
        disc(600, 420, 300, "#FFD166", blur=120, opacity=0.34),
        disc(90, 1180, 380, "#FF8FA3", blur=130, opacity=0.4),
        ring(40, 1290, 220, 20, "#FFFFFF1F"),
        sparkle(92, 86, 40, GOLD),
        sparkle(654, 218, 30, "#FFFFFFD9"),
        # Headline
        words(60, 44, 630, "{merchant}", 28, colour=_SOFT, align="center"),
        bold(60, 96, 630, "{title}", 64, min_size=46, colour="#FFFFFF", align="center", line_height=1.3),
        words(60, 194, 630, "邀请好友，登一阶领一份礼", 30, colour=_SOFT, align="center"),
        # Stairs
        *_stair(60, 500, "#FFFFFFE6", "第一阶", DEEP),
        *_stair(276, 430, "#FFFFFFF2", "第二阶", DEEP),
        *_stair(492, 360, {"stops": ["#FFE29A", "#FFC94D"], "angle": 90}, "第三阶", "#5C3B00"),
        *_gift(159, 500, 76, "#A78BFA", "#FFFFFF"),
        *_gift(375, 430, 90, ROSE, "#FFFFFF"),
        *_gift(591, 360, 106, "#F43F5E", GOLD),
        # Card
        rect(60, 716, 630, 554, "#FFFFFF", radius=40, shadow={"dy": 18, "blur": 40, "colour": "#1E0A4A66"}),
        disc(375, 718, 140, "#FFFFFF"),
        avatar(311, 654, 128, "#E9DDFF", 5),
        bold(100, 790, 550, "{nickname}", 38, min_size=32, colour=INK, align="center"),
        words(100, 844, 550, "请你帮忙，也送你一份礼", 28, colour=GREY, align="center", when="days"),
        qr(223, 884, 304, "#2E0F66"),
        bold(100, 1174, 550, "长按识别二维码", 30, colour=DEEP, align="center"),
        words(100, 1218, 550, "邀请码 {invite_code}", 24, colour=GREY, align="center"),
    ],
}
