"""Days for both sides: calm green, two tickets that weigh the same."""

from __future__ import annotations

from typing import Any

from app.poster.designs.brushes import GREY, INK, Layer, avatar, bold, disc, qr, rect, ring, sparkle, words

DEEP, GOLD = "#0B6B57", "#F7C65B"


def _ticket(x: int, who: str, value: str) -> list[Layer]:
    shown: dict[str, Any] = {"align": "center", "when": value}
    figure = [{"text": f"{{{value}}}", "size": 92, "colour": "#D9480F"}, {"text": " 天", "size": 38}]
    shadow = {"dy": 12, "blur": 26, "colour": "#03362C55"}
    return [
        rect(x, 318, 296, 232, "#FFFDF5", radius=28, shadow=shadow, when=value),
        rect(x + 88, 300, 120, 46, GOLD, radius=23, when=value),
        bold(x + 88, 300, 120, who, 26, colour="#5C3B00", line_height=1.75, **shown),
        bold(x + 12, 360, 272, figure, 92, min_size=60, colour=INK, line_height=1.3, **shown),
        words(x + 12, 484, 272, "会员时长", 26, colour=GREY, **shown),
    ]


DOCUMENT: dict[str, Any] = {
    "width": 750,
    "height": 1334,
    "background": {"paint": {"stops": ["#0A5C4E", "#0E8568", "#3DB98B"], "angle": 75}},
    "layers": [
        disc(90, 120, 420, "#FFFFFF12"),
        disc(680, 700, 520, "#FFFFFF0F"),
        disc(640, 160, 300, "#9BF0C8", blur=110, opacity=0.35),
        disc(80, 900, 320, "#F7E08A", blur=120, opacity=0.28),
        ring(712, 1270, 240, 22, "#FFFFFF1F"),
        sparkle(86, 224, 36, GOLD),
        sparkle(676, 66, 48, GOLD),
        sparkle(630, 44, 20, "#FFFFFFCC"),
        # Headline
        words(60, 52, 630, "{merchant}", 28, colour="#D8F5E8", align="center"),
        bold(60, 104, 630, "{title}", 64, min_size=46, colour="#FFFFFF", align="center", line_height=1.3),
        words(60, 200, 630, "好友完成注册，两个人都有份", 30, colour="#E3F8EE", align="center"),
        *_ticket(60, "你得", "days"),
        *_ticket(394, "好友得", "inviter_days"),
        disc(375, 434, 76, GOLD, border={"width": 6, "colour": "#FFFDF5"}, when="inviter_days"),
        rect(357, 431, 36, 7, "#5C3B00", radius=3, when="inviter_days"),
        rect(372, 416, 7, 36, "#5C3B00", radius=3, when="inviter_days"),
        # Card
        rect(60, 666, 630, 604, "#FFFFFF", radius=40, shadow={"dy": 18, "blur": 40, "colour": "#03362C66"}),
        disc(375, 668, 140, "#FFFFFF"),
        avatar(311, 604, 128, "#DDF3E9", 5),
        bold(100, 740, 550, "{nickname}", 38, min_size=32, colour=INK, align="center"),
        words(100, 794, 550, "邀请你成为会员", 28, colour=GREY, align="center"),
        qr(208, 832, 334, "#0B2B24"),
        bold(100, 1152, 550, "长按识别二维码", 32, colour=DEEP, align="center"),
        words(100, 1202, 550, "邀请码 {invite_code}", 26, colour=GREY, align="center"),
    ],
}
