"""QR codes: written crisp, read back as a phone would have to."""

from __future__ import annotations

import io
from functools import lru_cache
from math import isqrt

import zxingcpp
from PIL import Image

from app.kit.errors import Unprocessable
from app.kit.links import LONGEST as LONGEST_LINK
from app.poster import paint, pictures
from app.poster.colours import rgb
from app.poster.document import QrLayer

QUIET = 4
# What a QR must have: pixels, and a share of the canvas' width; its quiet zone not counted.
LEAST_PIXELS = 200
LEAST_SHARE = 0.22
_FORMATS = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
# What chat apps do to a picture.
HARSH_SCALE, HARSH_QUALITY = 0.4, 60


def modules(link: str) -> Image.Image:
    """The symbol, one pixel a module, 0 = dark, level M, without quiet zone."""
    if len(link) > LONGEST_LINK or not link.isascii() or not link.isprintable() or not link:
        raise Unprocessable("invite_url_unfit", f"A poster's link has 1 to {LONGEST_LINK} ASCII characters.")
    barcode = zxingcpp.create_barcode(link, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    view = memoryview(barcode.to_image(scale=1, add_quiet_zones=False))  # type: ignore[arg-type]  # its stub forgets it
    side = isqrt(view.nbytes)
    return Image.frombytes("L", (side, side), view.tobytes())


def module_pixels(size: int, side: int) -> int:
    """Whole pixels a module in a square of `size`, for a symbol of `side` modules."""
    return size // (side + 2 * QUIET)


def draw(image: Image.Image, layer: QrLayer, link: str) -> None:
    """The light square, and the symbol in its middle with every module the same whole number of pixels wide."""
    symbol = modules(link)
    side = symbol.width * module_pixels(layer.size, symbol.width)
    image.paste(rgb(layer.light), (layer.x, layer.y), _square(layer.size, layer.radius))
    if side:
        mask = symbol.point(lambda value: 255 - value).resize((side, side), Image.Resampling.NEAREST)
        margin = (layer.size - side) // 2
        image.paste(rgb(layer.dark), (layer.x + margin, layer.y + margin), mask)


@lru_cache(maxsize=16)
def _square(size: int, radius: int) -> Image.Image:
    return paint.outline("rect", (size, size), radius=radius)


def read_back(data: bytes) -> list[str]:
    """The texts of all QR codes in an encoded picture."""
    return texts(pictures.decode(data, pictures.ASSET_SIZE))


def texts(image: Image.Image) -> list[str]:
    found = zxingcpp.read_barcodes(image.convert("L"), formats=_FORMATS)
    return [barcode.text for barcode in found]


def degraded(image: Image.Image, *, scale: float = HARSH_SCALE, quality: int = HARSH_QUALITY) -> Image.Image:
    """A picture as it arrives after being forwarded: scaled down, then compressed."""
    small = image.convert("RGB").resize(
        (round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR
    )
    out = io.BytesIO()
    small.save(out, "JPEG", quality=quality)
    return Image.open(io.BytesIO(out.getvalue()), formats=("JPEG",))


def survives(image: Image.Image, link: str) -> bool:
    """Whether a picture's one QR reads as `link`: as it is, compressed, and scaled down as well."""
    return all(texts(version) == [link] for version in (image, degraded(image, scale=1.0), degraded(image)))
