"""Posters nobody would design, for people with names that are hard to draw: every QR is read as the link."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image

from app.poster import qr, read_back, render
from proofs import poster_cases


@pytest.mark.parametrize("seed", range(20))
def test_random_posters_are_read_also_small_and_compressed(seed: int) -> None:
    dice = random.Random(1000 + seed)
    template = poster_cases.template(dice)
    for poster in poster_cases.people(dice, 10):
        data = render(template, poster)
        assert read_back(data) == [poster.invite_url]
        harsh = qr.degraded(Image.open(io.BytesIO(data)))
        assert qr.texts(harsh) == [poster.invite_url]
