"""A poster template as a document: what a designer states and a merchant stores, validated, immutable.

Positions and sizes are canvas pixels from the top left corner. Layers are painted in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

CANVASES = ((750, 1334), (720, 1280), (1080, 1920))
# What texts may name. `nickname` and `invite_code` differ from person to person, the others by campaign.
PERSONAL = frozenset({"nickname", "invite_code"})
# `days` are what a friend gets, `inviter_days` what who shares the poster gets for one.
PLACEHOLDERS = PERSONAL | {"title", "product", "price", "days", "inviter_days", "merchant"}

Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?$", examples=["#E8402A"])]
Opaque = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$", examples=["#1A1A1A"])]
Place = Annotated[int, Field(ge=-2000, le=4000)]
Extent = Annotated[int, Field(ge=1, le=4000)]
Turn = Annotated[float, Field(ge=-360, le=360, description="Degrees clockwise around the middle of the layer's box.")]
Share = Annotated[float, Field(ge=0, le=1)]
Asset = Annotated[str, Field(min_length=1, max_length=80)]
# QR error correction: how much may be covered or dirty. Under a logo it is never the least.
Level = Literal["M", "Q", "H"]
Placeholder = Literal["nickname", "invite_code", "title", "product", "price", "days", "inviter_days", "merchant"]


def placeholders(text: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def _known(text: str) -> str:
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError("braces stand for a value, as in {nickname}; a brace itself is doubled") from error
    for _, name, spec, conversion in parts:
        if name is not None and (name not in PLACEHOLDERS or spec or conversion):
            raise ValueError(f"unknown placeholder {{{name}}}; known are {', '.join(sorted(PLACEHOLDERS))}")
    return text


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Paint(_Part):
    """One colour, or several evenly spread along `angle` (degrees, 0 = left to right, 90 = top to bottom)."""

    stops: Annotated[tuple[Colour, ...], Field(min_length=1, max_length=6)]
    angle: Annotated[int, Field(ge=0, lt=360)] = 90


def _plain_colour(value: Any) -> Any:
    return {"stops": [value]} if isinstance(value, str) else value


Paint = Annotated[_Paint, BeforeValidator(_plain_colour, json_schema_input_type=str | _Paint)]


class Shadow(_Part):
    dx: Place = 0
    dy: Place = 8
    blur: Annotated[int, Field(ge=0, le=200)] = 24
    colour: Colour = "#00000026"


class Border(_Part):
    width: Annotated[int, Field(ge=1, le=60)]
    colour: Colour


class _Layer(_Part):
    """`when`: painted only if that value is given, so that a card of a price goes with its price."""

    name: Annotated[str, Field(max_length=60)] = ""
    when: Placeholder | None = None
    x: Place
    y: Place
    opacity: Share = 1.0
    rotation: Turn = 0.0


class _Boxed(_Layer):
    width: Extent
    height: Extent


class ShapeLayer(_Boxed):
    """`points` of a polygon are fractions of the box; `blur` softens the whole shape into a glow."""

    type: Literal["shape"]
    kind: Literal["rect", "ellipse", "polygon"] = "rect"
    points: Annotated[tuple[tuple[float, float], ...], Field(max_length=64)] = ()
    radius: Annotated[int, Field(ge=0, le=1000)] = 0
    fill: Paint | None = None
    border: Border | None = None
    shadow: Shadow | None = None
    blur: Annotated[int, Field(ge=0, le=200)] = 0

    @model_validator(mode="after")
    def _has_an_outline(self) -> ShapeLayer:
        if self.kind == "polygon" and len(self.points) < 3:
            raise ValueError("a polygon needs at least 3 points")
        return self


class ImageLayer(_Boxed):
    type: Literal["image"]
    asset: Asset
    fit: Literal["cover", "contain"] = "cover"
    radius: Annotated[int, Field(ge=0, le=1000)] = 0


class AvatarLayer(_Layer):
    type: Literal["avatar"]
    size: Annotated[int, Field(ge=24, le=800)]
    shape: Literal["round", "rounded", "square"] = "round"
    border: Border | None = None

    @model_validator(mode="after")
    def _shows_something(self) -> AvatarLayer:
        if self.border and self.size <= 2 * self.border.width:
            raise ValueError("the border leaves no room for the picture")
        return self


class Outline(_Part):
    """A line around every letter, outside of its shape."""

    width: Annotated[int, Field(ge=1, le=20)]
    colour: Opaque


class Span(_Part):
    """A stretch of a line; what it leaves out it takes from its layer."""

    text: Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_known)]
    size: Annotated[int, Field(ge=12, le=400)] | None = None
    weight: Literal["regular", "bold"] | None = None
    colour: Opaque | None = None


def _plain_text(value: Any) -> Any:
    return [{"text": value}] if isinstance(value, str) else value


Spans = Annotated[
    tuple[Span, ...],
    Field(min_length=1, max_length=12),
    BeforeValidator(_plain_text, json_schema_input_type=str | tuple[Span, ...]),
]


class TextLayer(_Layer):
    """Up to `lines` lines in a box of `width`; too long, it shrinks to `min_size`, then ends in an ellipsis.

    Left out while a value that it names is empty (a nickname never is). `letter_spacing` is pixels between letters at
    full size; scripts whose letters join keep theirs together.
    """

    type: Literal["text"]
    width: Extent
    text: Spans
    size: Annotated[int, Field(ge=12, le=400)]
    min_size: Annotated[int, Field(ge=12, le=400)] | None = None
    font: Literal["sans"] = "sans"
    weight: Literal["regular", "bold"] = "regular"
    colour: Opaque = "#1A1A1A"
    letter_spacing: Annotated[int, Field(ge=-20, le=200)] = 0
    outline: Outline | None = None
    shadow: Shadow | None = None
    align: Literal["left", "center", "right"] = "left"
    lines: Annotated[int, Field(ge=1, le=8)] = 1
    line_height: Annotated[float, Field(ge=1, le=3)] = 1.4

    @property
    def line_pixels(self) -> int:
        return round(self.line_height * max(self.size, *(span.size or 0 for span in self.text)))

    @property
    def names(self) -> frozenset[str]:
        return frozenset[str]().union(*(placeholders(span.text) for span in self.text))


class Logo(_Part):
    """A picture on a light plate in the middle of a QR; `share` of the symbol's side is the plate's."""

    asset: Asset
    share: Annotated[float, Field(ge=0.1, le=0.3)] = 0.2
    radius: Annotated[int, Field(ge=0, le=100)] = 12


class QrLayer(_Layer):
    """`size` is the whole light square, quiet zone included; `level` is M, and Q or H under a logo."""

    type: Literal["qr"]
    size: Extent
    dark: Opaque = "#000000"
    light: Opaque = "#FFFFFF"
    radius: Annotated[int, Field(ge=0, le=60)] = 0
    level: Level | None = None
    quiet_zone: Annotated[int, Field(ge=4, le=12, description="Modules left free around the symbol.")] = 4
    logo: Logo | None = None

    @model_validator(mode="after")
    def _corrects_what_a_logo_hides(self) -> QrLayer:
        if self.logo and self.level == "M":
            raise ValueError("a logo needs level Q or H")
        return self

    @property
    def correction(self) -> Level:
        return self.level or ("Q" if self.logo else "M")


Layer = Annotated[ShapeLayer | ImageLayer | AvatarLayer | TextLayer | QrLayer, Field(discriminator="type")]


class Background(_Part):
    """A picture covers the paint; it is scaled and cut to the canvas."""

    paint: Paint
    asset: Asset | None = None


class Document(_Part):
    """A whole template, version 1 of the format."""

    version: Literal[1] = 1
    width: int = 750
    height: int = 1334
    background: Background
    layers: Annotated[tuple[Layer, ...], Field(max_length=80)] = ()

    @model_validator(mode="after")
    def _known_canvas(self) -> Document:
        if (self.width, self.height) not in CANVASES:
            raise ValueError(f"the canvas is one of {', '.join(f'{w}×{h}' for w, h in CANVASES)}")
        return self

    @property
    def assets(self) -> frozenset[str]:
        """Names of the pictures it needs."""
        return frozenset(name for _, name in self.named_assets())

    def named_assets(self) -> Iterator[tuple[str, str]]:
        """JSON pointer and name of every picture."""
        if self.background.asset:
            yield "/background/asset", self.background.asset
        for i, layer in enumerate(self.layers):
            if isinstance(layer, ImageLayer):
                yield f"/layers/{i}/asset", layer.asset
            elif isinstance(layer, QrLayer) and layer.logo:
                yield f"/layers/{i}/logo/asset", layer.logo.asset
