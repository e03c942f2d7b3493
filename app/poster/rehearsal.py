"""What a drawing process does before it is needed: the first poster of a cold one takes a hundred times its time."""

from __future__ import annotations

import io
from dataclasses import replace

from PIL import Image

from app.poster import faces
from app.poster.builtin import BUILTIN
from app.poster.check import SAMPLE
from app.poster.pictures import normalise_avatar
from app.poster.render import render

_NAME = "明é👋مرحبا"
_NOWHERE = "\u0378"


def rehearse() -> None:
    """Load code, fonts and decoders, and paint the built-in templates."""
    for bold in (False, True):
        faces.choose(_NOWHERE, bold)  # all fonts are searched for what none has
    upload = io.BytesIO()
    Image.new("RGB", (64, 64), "#336699").save(upload, "PNG")
    person = replace(SAMPLE, nickname=_NAME, avatar=normalise_avatar(upload.getvalue()))
    for template in BUILTIN.values():
        render(template, person)
        render(template, person, "png")
    render(BUILTIN["distribution"], replace(person, avatar=None), "webp")
