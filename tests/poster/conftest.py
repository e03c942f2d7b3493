"""Real pictures to upload, and people with names that are hard to draw."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image, ImageDraw

from app.poster import PosterInput

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


@pytest.fixture
def photo() -> Image.Image:
    """Left half red, right half blue, so that one sees which way it is turned."""
    image = Image.new("RGB", (400, 300), "#D02020")
    ImageDraw.Draw(image).rectangle((200, 0, 399, 299), fill="#2020D0")
    return image


@pytest.fixture
def jpeg(photo: Image.Image) -> bytes:
    return encoded(photo, "JPEG")


@pytest.fixture
def person() -> PosterInput:
    return PosterInput(
        invite_url="https://t.invitree.cn/i/8a2b3c4d?s=qr",
        nickname="小明🎉",
        invite_code="8a2b3c4d",
        title="增长案例集",
        product="案例集纸质书与年度社群会员",
        price="59.00",
        days=30,
        inviter_days=30,
        merchant="运营研究社",
    )


@pytest.fixture
def codes() -> list[str]:
    chance = random.Random(7)
    return ["".join(chance.choices(ALPHABET, k=8)) for _ in range(12)]
