"""Uploaded pictures: checked before they are decoded, stripped of what they say about their maker, brought to size."""

from __future__ import annotations

import io
from typing import Literal

from PIL import Image, ImageOps

from app.kit.errors import TooLarge, Unprocessable
from app.poster import headers

MOST_BYTES = 5 * 1024 * 1024
# A JPEG is scaled while it is decoded. Of the others each pixel is held, four times for a WebP: 16 megapixels, which
# may come in 1 kB, would take 300 MiB.
MOST_PIXELS, MOST_PIXELS_HELD = 16_000_000, 6_000_000
LEAST_SIDE = 16
AVATAR_SIDE = 256
# No canvas is larger.
ASSET_SIZE = (1080, 1920)
Purpose = Literal["avatar", "background"]


def check(data: bytes) -> headers.Header:
    """Refuse by size and kind, in microseconds, what must not reach a decoder.

    413 `picture_too_large`; 422 `picture_empty`, `picture_format_unsupported`, `picture_damaged`,
    `picture_too_many_pixels`, `picture_too_small`, `picture_animated`, `picture_cmyk`.
    """
    if not data:
        raise Unprocessable("picture_empty", "The picture has no bytes.")
    if len(data) > MOST_BYTES:
        raise TooLarge("picture_too_large", f"A picture may have at most {MOST_BYTES // 1024 // 1024} MiB.")
    header = headers.read(data)
    most = MOST_PIXELS if header.format == "JPEG" else MOST_PIXELS_HELD
    if header.width * header.height > most:
        detail = f"A {header.format} picture may have at most {most // 1_000_000} megapixels."
        raise Unprocessable("picture_too_many_pixels", detail)
    if min(header.width, header.height) < LEAST_SIDE:
        raise Unprocessable("picture_too_small", f"Each side of a picture must have at least {LEAST_SIDE} pixels.")
    if header.animated:
        raise Unprocessable("picture_animated", "The picture is animated; upload a still one.")
    if header.cmyk:
        raise Unprocessable("picture_cmyk", "The picture is made for print (CMYK); save it as RGB.")
    return header


def decode(data: bytes, room: tuple[int, int]) -> Image.Image:
    """RGB or RGBA picture, turned upright, not much larger than it is needed to fill `room` pixels."""
    header = check(data)
    try:
        with Image.open(io.BytesIO(data), formats=(header.format,)) as image:
            _agree(image, header)
            image.draft("RGB", (max(room), max(room)))  # a JPEG is scaled while it is decoded
            image.load()
            # Turned upright and converted when it is small, so that a large picture is held in memory once.
            sized = _reduced(image, _covering(image.size, max(room) * 2))
            upright = ImageOps.exif_transpose(sized)
            return upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    except Exception as error:  # strangers' bytes make a decoder fail in any way
        raise headers.damaged() from error


def _agree(image: Image.Image, header: headers.Header) -> None:
    """A file may state two sizes, a small one for us and a large one for the decoder."""
    if image.size != (header.width, header.height):
        raise ValueError("the sizes differ")


def _reduced(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    elif image.mode not in ("L", "LA", "RGB", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail(size, Image.Resampling.BOX)
    return image


def _covering(size: tuple[int, int], side: int) -> tuple[int, int]:
    shorter = min(size)
    return size if shorter <= side else (size[0] * side // shorter, size[1] * side // shorter)


def square(data: bytes, side: int) -> Image.Image:
    """The middle of a picture as RGB, on white where it is transparent."""
    # Half the work of LANCZOS; what comes is hardly twice as large, and looks the same.
    image = ImageOps.fit(decode(data, (side, side)), (side, side), Image.Resampling.HAMMING)
    return flattened(image)


def flattened(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    ground = Image.new("RGB", image.size, "#FFFFFF")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def normalise(data: bytes, purpose: Purpose) -> bytes:
    """An upload as it is kept for its purpose; errors as `check` has them."""
    return normalise_avatar(data) if purpose == "avatar" else normalise_asset(data)


def normalise_avatar(data: bytes) -> bytes:
    """A JPEG of 256 × 256 pixels, without metadata; errors as `check` has them."""
    return _jpeg(square(data, AVATAR_SIDE), 90)


def normalise_asset(data: bytes) -> bytes:
    """A template's picture as JPEG, or PNG where it is transparent; at most 1080 × 1920, without metadata.

    Smaller where it would be too large a file, so that what is kept is always taken again.
    """
    image = decode(data, ASSET_SIZE)
    image.thumbnail(ASSET_SIZE, Image.Resampling.LANCZOS)
    kept = _encoded(image)
    while len(kept) > MOST_BYTES:
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.LANCZOS)
        kept = _encoded(image)
    check(kept)  # a strip that was long enough may be too narrow by now
    return kept


def _encoded(image: Image.Image) -> bytes:
    return _jpeg(image, 92) if image.mode == "RGB" else _saved(image, "PNG")


def _jpeg(image: Image.Image, quality: int) -> bytes:
    return _saved(image, "JPEG", quality=quality)


def _saved(image: Image.Image, form: headers.Format, **options: int) -> bytes:
    out = io.BytesIO()
    image.info.clear()  # it would write the upload's comment and profile again
    image.save(out, form, **options)
    return out.getvalue()
