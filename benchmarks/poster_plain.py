"""The same poster with Pillow and qrcode, as one writes it who knows them.

Opened for each poster: the template's file. Kept: fonts, the avatar's mask.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import qrcode
from PIL import Image, ImageDraw, ImageFont

from app.poster import PosterInput
from app.poster.faces import FOLDER
from benchmarks.poster_scene import AVATAR, CODE, CODE_LINE, NICKNAME


@lru_cache
def _font(weight: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FOLDER / f"NotoSansSC-{weight}.ttf", size)


@lru_cache
def _round(side: int) -> Image.Image:
    mask = Image.new("L", (side * 4, side * 4))
    ImageDraw.Draw(mask).ellipse((0, 0, side * 4 - 1, side * 4 - 1), fill=255)
    return mask.resize((side, side), Image.Resampling.BOX)


def poster(background: Image.Image | bytes, person: PosterInput, form: str, **options: Any) -> bytes:
    """`background`: the template's PNG file, or what was decoded of it."""
    image = Image.open(io.BytesIO(background)) if isinstance(background, bytes) else background.copy()
    image.load()
    left, top, side = AVATAR
    avatar = Image.open(io.BytesIO(person.avatar or b"")).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    image.paste(avatar, (left, top), _round(side))
    pen = ImageDraw.Draw(image)
    pen.text(NICKNAME[:2], person.nickname, fill="#1F2328", font=_font("Bold", 36))
    pen.text(CODE_LINE[:2], f"邀请码 {person.invite_code}", fill="#B42313", font=_font("Regular", 26))
    image.paste(_code(person.invite_url), CODE[:2])
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def _code(link: str) -> Image.Image:
    code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, border=4)
    code.add_data(link)
    code.make(fit=True)
    side = CODE[2]
    return code.make_image().get_image().convert("RGB").resize((side, side), Image.Resampling.NEAREST)
