"""From a template and a person to an encoded poster."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Literal

import PIL
from PIL import Image

from app.poster import avatars, layout, qr
from app.poster.bake import bake, paint_static
from app.poster.document import PERSONAL, AvatarLayer, QrLayer
from app.poster.template import PosterInput, Template

Format = Literal["jpeg", "png"]
MOST_BYTES = 500_000
_QUALITIES = (85, 75, 65, 50, 35, 20, 10)
# Raised with every change of this room that changes a poster's bytes, so that no cache keeps an old one.
_REVISION = 1


def render(template: Template, poster: PosterInput, format: Format = "jpeg") -> bytes:  # noqa: A002 - the callers' word
    """Encoded bytes, the same for the same input. A JPEG (baseline, quality 85) has at most 500 KB.

    `invite_url_unfit` (422) is the only error: whatever else is amiss, a poster comes.
    """
    return encode(picture(template, poster), format)


def picture(template: Template, poster: PosterInput) -> Image.Image:
    """The poster as an RGB picture."""
    values = poster.values()
    shared = frozenset((name, value) for name, value in values.items() if name not in PERSONAL)
    baked = bake(template, shared)
    image = baked.base.copy()
    for layer in baked.layers:
        if not layout.is_shown(layer, values):
            continue
        if isinstance(layer, AvatarLayer):
            avatars.draw(image, layer, poster.avatar, poster.name)
        elif isinstance(layer, QrLayer):
            qr.draw(image, layer, poster.invite_url)
        else:
            paint_static(image, layer, template.assets, values)
    return image


def encode(image: Image.Image, format: Format) -> bytes:  # noqa: A002 - as above
    if format == "png":
        return _saved(image, format="PNG", compress_level=6)
    data = b""
    for quality in _QUALITIES:
        # The standard tables (no `optimize`), 4:2:0: strips of such a file can be encoded apart and joined.
        data = _saved(image, format="JPEG", quality=quality, subsampling=2)
        if len(data) <= MOST_BYTES:
            break
    return data


def _saved(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, **options)  # type: ignore[arg-type]  # Pillow types save's options one by one
    return out.getvalue()


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
