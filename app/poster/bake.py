"""What a campaign's posters share, painted once a process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import chain

from PIL import Image, ImageOps

from app.poster import jpeg, layers, layout, paint, pictures, png, stamps, strips
from app.poster.document import PERSONAL, PLACEHOLDERS, AvatarLayer, Document, Layer, QrLayer, TextLayer
from app.poster.layers import Assets
from app.poster.stamps import Box, Stamp
from app.poster.template import PosterInput, Template


@dataclass(frozen=True)
class Fixed:
    """Stamps that only wait because they lie on something that does."""

    stamps: tuple[Stamp, ...]

    @cached_property
    def box(self) -> Box:
        return stamps.bounds(self.stamps)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A layer that has no values yet. `bare`: what is below and above its own part are stamps beside it."""

    layer: Layer
    bare: bool = False

    @property
    def box(self) -> Box:
        return layout.reach(self.layer)


Item = Fixed | Waiting


@dataclass(frozen=True, eq=False)
class Baked:
    """The picture below, and what is still to be painted, in order."""

    base: Image.Image
    items: tuple[Item, ...]
    assets: Assets
    _rows: dict[int, jpeg.Rows] = field(default_factory=dict)
    _sheets: dict[tuple[strips.Run, ...], Image.Image] = field(default_factory=dict)

    def stamps(self, poster: PosterInput, values: Mapping[str, str]) -> list[Stamp]:
        """A person's."""
        return list(chain.from_iterable(self._item_stamps(item, poster, values) for item in self.items))

    def _item_stamps(self, item: Item, poster: PosterInput, values: Mapping[str, str]) -> Sequence[Stamp]:
        if isinstance(item, Fixed):
            return item.stamps
        if not layout.is_shown(item.layer, values):
            return ()
        if not isinstance(item.layer, AvatarLayer | QrLayer):
            return layers.settled(item.layer, self.assets, values)
        return layers.own(item.layer, poster) if item.bare else layers.whole(item.layer, self.assets, poster)

    def strips(self, stamps: Sequence[Stamp], runs: tuple[strips.Run, ...]) -> strips.Strips:
        """Most people's stamps touch the same rows, so what lies below them is kept: some 1 MB."""
        if runs not in self._sheets:
            self._sheets.clear()
            self._sheets[runs] = strips.sheet(self.base, runs)
        return strips.painted(self._sheets[runs], stamps, runs)

    def jpeg(self, quality: int) -> jpeg.Rows:
        """Made when it is first asked for, 0.2 MB each."""
        if quality not in self._rows:
            self._rows[quality] = jpeg.Rows(self.base, quality)
        return self._rows[quality]

    @cached_property
    def png(self) -> png.Bands:
        """As above; 0.2 to 2 MB."""
        return png.Bands(self.base)


# 3 MB (750 × 1334) to 6 MB each; a process serves few campaigns at a time.
@lru_cache(maxsize=12)
def bake(template: Template, shared: frozenset[tuple[str, str]]) -> Baked:
    """`shared`: the values that are the same for everybody, and of the personal ones whether they are there."""
    first = _bake_ground(template)
    return _settle(first.base.copy(), first.items, template.assets, dict(shared), PERSONAL, frozenset())


def baked_for(template: Template, values: Mapping[str, str]) -> Baked:
    """As `bake`, for one person's values."""
    return bake(template, frozenset((name, "*" if v and name in PERSONAL else v) for name, v in values.items()))


# Glows and shadows take most of the time, and they are the same in all campaigns of a template.
@lru_cache(maxsize=8)
def _bake_ground(template: Template) -> Baked:
    items = [item for layer in template.document.layers for item in _items(layer, template.assets)]
    base = ground(template.document, template.assets)
    return _settle(base, items, template.assets, {}, PLACEHOLDERS, PLACEHOLDERS)


def _items(layer: Layer, assets: Assets) -> Iterator[Item]:
    if isinstance(layer, AvatarLayer | QrLayer) and layers.is_upright(layer) and not layer.when:
        yield Fixed(tuple(layers.below(layer)))
        yield Waiting(layer, bare=True)
        yield Fixed(tuple(layers.above(layer, assets)))
    else:
        yield Waiting(layer)


def _settle(
    base: Image.Image,
    items: Sequence[Item],
    assets: Assets,
    values: Mapping[str, str],
    unknown: frozenset[str],
    perhaps: frozenset[str],
) -> Baked:
    """Paint what names none of the `unknown` values, and hangs on none of which it is not known if it is there.

    What waits for them is left over, and so is everything that lies on something left over.
    """
    left: list[Item] = []
    for item in items:
        if isinstance(item, Waiting):
            if isinstance(item.layer, AvatarLayer | QrLayer) or item.layer.when in perhaps or _named(item) & unknown:
                left.append(item)
                continue
            if not layout.is_shown(item.layer, values):
                continue
            item = Fixed(tuple(layers.settled(item.layer, assets, values)))
        if any(stamps.overlap(item.box, below.box) for below in left):
            left.append(Fixed(tuple(stamps.merged(item.stamps))))
        else:
            stamps.press(base, item.stamps)
    return Baked(base, tuple(left), assets)


def _named(item: Waiting) -> frozenset[str]:
    return item.layer.names if isinstance(item.layer, TextLayer) else frozenset()


def ground(document: Document, assets: Assets) -> Image.Image:
    size = (document.width, document.height)
    base = Image.new("RGB", size, "#FFFFFF")
    stamps.press(base, [paint.filled(document.background.paint, (0, 0), Image.new("L", size, 255))])
    if document.background.asset:
        photo = ImageOps.fit(pictures.decode(assets[document.background.asset], size), size, Image.Resampling.LANCZOS)
        base.paste(photo, (0, 0), photo if photo.mode == "RGBA" else None)
    return base
