"""QR codes: written crisp, read back as a phone would have to."""

from __future__ import annotations

import io
from functools import lru_cache

import zxingcpp
from PIL import Image, ImageOps

from app.poster import paint, pictures
from app.poster.colours import RGB, rgb
from app.poster.document import Level, QrLayer
from app.poster.stamps import Stamp
from app.poster.symbols import symbol

QUIET = 4
# What a QR must have: pixels, and a share of the canvas' width; its quiet zone not counted.
LEAST = (200, 0.22)
# Under a logo: what is hidden has to be made up for by what is seen.
LEAST_WITH_LOGO = (240, 0.28)
# Of the square, what a symbol covers at the least: the rest is its quiet zone and what whole pixels leave over.
_LEAST_FILLED = 0.75
# Not the small kinds, as no messenger's scanner reads them: in one of some thousand symbols a corner looks like one.
_FORMATS = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCodeModel2)
# What chat apps do to a picture.
HARSH_SCALE, HARSH_QUALITY = 0.4, 60


def modules(link: str, level: Level = "M") -> Image.Image:
    """The symbol, one pixel a module, 0 = dark, without quiet zone."""
    return symbol(link, level=level).picture()


def module_pixels(size: int, side: int, quiet: int = QUIET) -> int:
    """Whole pixels a module in a square of `size`, for a symbol of `side` modules."""
    return size // (side + 2 * quiet)


def ground(layer: QrLayer) -> list[Stamp]:
    """The light square."""
    return [paint.inked(layer.light, (layer.x, layer.y), _square(layer.size, layer.radius))]


def modules_of(layer: QrLayer, link: str, code: str) -> list[Stamp]:
    """The symbol in the middle of the square, every module the same whole number of pixels wide."""
    found = symbol(link, code, layer.correction)
    side = found.side * module_pixels(layer.size, found.side, layer.quiet_zone)
    if not side:
        return []
    margin = (layer.size - side) // 2
    coloured = _coloured(found.picture(), rgb(layer.dark), rgb(layer.light))
    return [Stamp(layer.x + margin, layer.y + margin, coloured.resize((side, side), Image.Resampling.NEAREST))]


def _coloured(symbol: Image.Image, dark: RGB, light: RGB) -> Image.Image:
    picture = Image.new("RGB", symbol.size, dark)
    picture.paste(light, (0, 0), symbol)
    return picture


def logo(layer: QrLayer, data: bytes) -> list[Stamp]:
    """The plate and the picture on it, in the middle of where the symbol of a long link is."""
    if not layer.logo:
        return []
    plate = round(layer.size * layer.logo.share * _LEAST_FILLED)
    room = max(plate - 2 * max(plate // 12, 2), 1)
    photo = ImageOps.contain(pictures.decode(data, (room, room)).convert("RGBA"), (room, room))
    corner = (layer.x + (layer.size - plate) // 2, layer.y + (layer.size - plate) // 2)
    inner = (layer.x + (layer.size - photo.width) // 2, layer.y + (layer.size - photo.height) // 2)
    return [
        paint.inked(layer.light, corner, _square(plate, layer.logo.radius)),
        Stamp(*inner, photo.convert("RGB"), photo.getchannel("A")),
    ]


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
