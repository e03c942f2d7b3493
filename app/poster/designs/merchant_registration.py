"""The platform's own invitation to merchants: night blue and gold, what the tool does in three lines."""

from __future__ import annotations

from typing import Any

from app.poster.designs.brushes import GREY, INK, Layer, avatar, bold, disc, qr, rect, ring, sparkle, words

NIGHT, GOLD, PALE = "#0B1B3F", "#F5C96A", "#C9D7F2"


def _point(y: int, title: str, note: str) -> list[Layer]:
    return [
        disc(98, y + 40, 52, "#F5C96A2E"),
        sparkle(98, y + 40, 30, GOLD),
        bold(146, y, 540, title, 34, colour="#FFFFFF"),
        words(146, y + 46, 540, note, 26, colour=PALE),
    ]


DOCUMENT: dict[str, Any] = {
    "width": 750,
    "height": 1334,
    "background": {"paint": {"stops": ["#0A1838", "#12306B", "#2450A8"], "angle": 80}},
    "layers": [
        disc(640, 150, 460, "#4F8CFF", blur=130, opacity=0.45),
        disc(60, 760, 360, "#7C5CFF", blur=130, opacity=0.35),
        ring(700, 110, 420, 2, "#FFFFFF33"),
        ring(700, 110, 300, 2, "#FFFFFF2B"),
        ring(700, 110, 190, 2, "#FFFFFF24"),
        disc(562, 262, 16, GOLD),
        disc(490, 100, 12, "#FFFFFFB3"),
        disc(606, 88, 20, "#8FB4FF"),
        # Headline
        words(64, 64, 500, "{merchant}", 28, colour=PALE),
        bold(64, 120, 620, "让老客户", 84, colour="#FFFFFF", line_height=1.2),
        bold(64, 222, 620, "带来新客户", 84, colour=GOLD, line_height=1.2),
        words(64, 344, 620, "{title}", 32, min_size=26, colour=PALE),
        *_point(424, "几分钟，一场裂变活动", "海报、落地页、邀请码，一次备好"),
        *_point(528, "两级佣金，一分不差", "退款自动追回，打款名单放心用"),
        *_point(632, "每一次扫码都算数", "谁邀请了谁，看得清、说得明"),
        # Card
        rect(48, 766, 654, 524, "#FFFFFF", radius=40, shadow={"dy": 20, "blur": 44, "colour": "#02081A99"}),
        avatar(84, 800, 104, "#E3EBFB", 4),
        bold(210, 800, 452, "{nickname}", 38, min_size=32, colour=INK),
        words(210, 854, 452, "邀请你免费使用", 28, colour=GREY),
        qr(50, 926, 334, NIGHT),
        bold(400, 944, 276, "长按识别二维码", 36, min_size=30, colour=INK),
        words(400, 1000, 276, "手机注册，即刻开通", 27, colour=GREY),
        rect(400, 1062, 262, 118, "#FFF7E3", radius=24, when="days"),
        words(400, 1072, 262, "双方各得", 26, colour="#8A5A00", align="center", when="days"),
        bold(
            400,
            1108,
            262,
            [{"text": "{days}", "size": 48}, {"text": " 天", "size": 28}],
            48,
            colour="#8A5A00",
            align="center",
            line_height=1.3,
        ),
        words(400, 1194, 262, "邀请码 {invite_code}", 26, colour=GREY, align="center"),
    ],
}
