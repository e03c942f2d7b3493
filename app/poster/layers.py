"""Every kind of layer as stamps: what is the same for everybody, and what is a person's own."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageOps

from app.poster import avatars, layout, paint, pictures, qr
from app.poster.document import AvatarLayer, ImageLayer, Layer, QrLayer, ShapeLayer, TextLayer
from app.poster.stamps import Stamp, turned
from app.poster.template import PosterInput

Assets = Mapping[str, bytes]


def settled(layer: ShapeLayer | ImageLayer | TextLayer, assets: Assets, values: Mapping[str, str]) -> list[Stamp]:
    """A layer that nobody's picture or code is on."""
    if isinstance(layer, ShapeLayer):
        flat = paint.shape(layer)
    elif isinstance(layer, ImageLayer):
        flat = [_photo(layer, assets[layer.asset])]
    else:
        flat = layout.text_stamps(layer, values)
    return _finished(layer, flat)


def _photo(layer: ImageLayer, data: bytes) -> Stamp:
    room = (layer.width, layer.height)
    photo = pictures.decode(data, room).convert("RGBA")
    fit = ImageOps.fit if layer.fit == "cover" else ImageOps.pad
    sized = fit(photo, room, Image.Resampling.LANCZOS)
    cut = Image.new("RGBA", room)
    cut.paste(sized, (0, 0), paint.outline("rect", room, radius=layer.radius))
    return Stamp(layer.x, layer.y, cut.convert("RGB"), cut.getchannel("A"))


def is_upright(layer: Layer) -> bool:
    """Whether it is pressed as it is; otherwise it is turned or faded as a whole."""
    return layer.rotation % 360 == 0 and layer.opacity >= 1


def below(layer: AvatarLayer | QrLayer) -> list[Stamp]:
    """What lies under a person's own part, the same for everybody."""
    return avatars.frame(layer) if isinstance(layer, AvatarLayer) else qr.ground(layer)


def above(layer: AvatarLayer | QrLayer, assets: Assets) -> list[Stamp]:
    """What lies over it."""
    return qr.logo(layer, assets[layer.logo.asset]) if isinstance(layer, QrLayer) and layer.logo else []


def own(layer: AvatarLayer | QrLayer, poster: PosterInput) -> list[Stamp]:
    """A person's own part, as it stands upright."""
    if isinstance(layer, QrLayer):
        return qr.modules_of(layer, poster.invite_url, poster.invite_code)
    return avatars.portrait(layer, poster.avatar, poster.name)


def whole(layer: AvatarLayer | QrLayer, assets: Assets, poster: PosterInput) -> list[Stamp]:
    """All of it, turned and faded."""
    return _finished(layer, [*below(layer), *own(layer, poster), *above(layer, assets)])


def _finished(layer: Layer, flat: list[Stamp]) -> list[Stamp]:
    return turned(flat, layout.box(layer), layer.rotation % 360, layer.opacity)
