"""From a template and a person to an encoded poster."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from typing import Literal

import PIL
from PIL import Image

from app.poster import jpeg, png, strips
from app.poster.bake import Baked, baked_for
from app.poster.stamps import Stamp, press
from app.poster.template import PosterInput, Template

Format = Literal["jpeg", "png", "webp"]
MOST_BYTES = 500_000
QUALITIES = (85, 75, 65, 50, 35, 20, 10)
# Where more of a poster is a person's own, strips save nothing.
MOST_CHANGED = 0.85
_WEBP_QUALITY = 82
# Raised with every change of this room that changes a poster's bytes, so that no cache keeps an old one.
_REVISION = 4


def render(template: Template, poster: PosterInput, format: Format = "jpeg") -> bytes:  # noqa: A002 - the callers' word
    """Encoded bytes, the same for the same input. A JPEG (baseline, quality 85) has at most 500 KB.

    `invite_url_unfit` (422) is the only error: whatever else is amiss, a poster comes.
    """
    values = poster.values()
    baked = baked_for(template, values)
    stamps = baked.stamps(poster, values)
    runs = strips.changed(stamps, baked.base.size)
    if format == "webp" or _share(runs, baked) > MOST_CHANGED:
        return encode(_whole(baked, stamps), format, _qualities(baked) if format == "jpeg" else QUALITIES)
    painted = baked.strips(stamps, runs)
    if format == "png":
        return baked.png.splice(painted)
    return _first_small(baked.jpeg(quality).splice(painted) for quality in _qualities(baked))


def _share(runs: Sequence[strips.Run], baked: Baked) -> float:
    """Of the rows, those that are a person's own."""
    return sum(last - first for first, last in runs) / strips.count(baked.base.height)


def _qualities(baked: Baked) -> Sequence[int]:
    """Those at which the template's own rows leave a file small enough."""
    for at, quality in enumerate(QUALITIES):
        if baked.jpeg(quality).size <= MOST_BYTES:
            return QUALITIES[at:]
    return QUALITIES[-1:]


def _first_small(files: Iterable[bytes]) -> bytes:
    data = b""
    for data in files:
        if len(data) <= MOST_BYTES:
            break
    return data


def picture(template: Template, poster: PosterInput) -> Image.Image:
    """The poster as an RGB picture."""
    values = poster.values()
    baked = baked_for(template, values)
    return _whole(baked, baked.stamps(poster, values))


def _whole(baked: Baked, stamps: Sequence[Stamp]) -> Image.Image:
    image = baked.base.copy()
    press(image, stamps)
    return image


def encode(image: Image.Image, format: Format, qualities: Sequence[int] = QUALITIES) -> bytes:  # noqa: A002 - as above
    """All of a picture; a JPEG at the first of the qualities at which it is small enough."""
    if format == "png":
        return png.encode(image)
    if format == "webp":
        out = io.BytesIO()
        image.save(out, "WEBP", quality=_WEBP_QUALITY, method=2)
        return out.getvalue()
    return _first_small(jpeg.encode(image, quality) for quality in qualities)


def fingerprint(template: Template, poster: PosterInput, format: Format = "jpeg") -> str:  # noqa: A002 - as above
    """64 hexadecimal digits that change when the poster does; nothing is rendered."""
    avatar = hashlib.sha256(poster.avatar).hexdigest() if poster.avatar else ""
    parts = [
        _REVISION,
        PIL.__version__,
        template.digest,
        format,
        poster.values(),
        poster.name,
        poster.invite_url,
        avatar,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
