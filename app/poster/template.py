"""Templates ready to render: a document and the pictures it names; and what is put into one for a person."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from app.kit.errors import FieldError, InvitreeError, Unprocessable
from app.poster import graphemes, pictures
from app.poster.document import Document, ImageLayer
from app.poster.words import filter_nickname

# Shown for who gave no name; 邀请 sentences read well with it.
NAMELESS = "好友"


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """Immutable and picklable. `digest` names its content: equal digests draw equal posters."""

    document: Document
    assets: Mapping[str, bytes]
    digest: str = field(default="")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True, slots=True)
class PosterInput:
    """What one poster shows. `price` comes as it is to be read (`59.00`); `avatar` is an encoded picture.

    An empty value leaves out the texts and layers that name it.
    """

    invite_url: str
    nickname: str = ""
    avatar: bytes | None = None
    invite_code: str = ""
    title: str = ""
    product: str = ""
    price: str = ""
    days: int | None = None
    inviter_days: int | None = None
    merchant: str = ""

    @property
    def name(self) -> str:
        """The nickname as strangers may see it; empty where nothing is left of it."""
        return _shown(self.nickname)

    def values(self) -> dict[str, str]:
        """What the placeholders of a template stand for."""
        campaign = {"title": self.title, "product": self.product, "price": self.price, "merchant": self.merchant}
        days = {"days": _figure(self.days), "inviter_days": _figure(self.inviter_days)}
        return {**campaign, **days, "nickname": self.name or NAMELESS, "invite_code": self.invite_code}


# Asked for by the fingerprint, by the texts and by the picture that stands for an avatar.
@lru_cache(maxsize=256)
def _shown(nickname: str) -> str:
    return filter_nickname(graphemes.clean(nickname)).strip()


def _figure(number: int | None) -> str:
    return "" if number is None else str(number)


def load_template(document: Mapping[str, Any], assets: Mapping[str, bytes] | None = None) -> Template:
    """Validate a document and its pictures; `poster_template_invalid` (422) with a pointer to each fault."""
    parsed = _parsed(document)
    given = {name: data for name, data in (assets or {}).items() if name in parsed.assets}
    if faults := _asset_faults(parsed, given):
        raise _invalid(faults)
    return Template(parsed, given, _digest(parsed, given))


def named_assets(document: Mapping[str, Any]) -> frozenset[str]:
    """The pictures that a document wants to be loaded with; errors as `load_template` has them."""
    return _parsed(document).assets


def _parsed(document: Mapping[str, Any]) -> Document:
    try:
        return Document.model_validate(document)
    except ValidationError as error:
        raise _invalid(_faults(error, document)) from error


def _invalid(faults: list[FieldError]) -> Unprocessable:
    return Unprocessable("poster_template_invalid", "The poster template does not fit; see `errors`.", errors=faults)


def _faults(error: ValidationError, document: Mapping[str, Any]) -> list[FieldError]:
    # A list whose items are faulty is also called too short: said of the items it is enough.
    inner = {fault["loc"][:end] for fault in error.errors() for end in range(len(fault["loc"]))}
    found = [fault for fault in error.errors() if not (fault["type"] == "too_short" and fault["loc"] in inner)]
    return [FieldError(_pointer(fault["loc"], document), fault["type"], _said(fault["msg"])) for fault in found]


def _said(message: str) -> str:
    return message.removeprefix("Value error, ")


def _pointer(loc: tuple[int | str, ...], document: Any) -> str:
    """As far as the document goes: a colour, or a text, that is short for an object ends it."""
    pointer = ""
    for at, step in enumerate(loc):
        if at == 2 and loc[0] == "layers":
            continue  # Pydantic puts a layer's type behind its index, which is no step in the document
        if not isinstance(document, Mapping | list | tuple):
            break
        pointer += f"/{str(step).replace('~', '~0').replace('/', '~1')}"
        document = _at(document, step)
    return pointer


def _at(document: Mapping[int | str, Any] | Sequence[Any], step: int | str) -> Any:
    """What is missing may have been any kind of object."""
    if isinstance(document, Mapping):
        return document.get(step, {})
    return document[step] if isinstance(step, int) and step < len(document) else {}


# Of all pictures together, each counted as it was uploaded and wherever it is shown: 64 MB decoded. And as they lie in
# memory encoded, for as long as the template is in use.
MOST_PIXELS, MOST_BYTES = 16_000_000, 8 * 1024 * 1024


def _asset_faults(document: Document, assets: Mapping[str, bytes]) -> list[FieldError]:
    faults, pixels = [], {}
    for pointer, name in document.named_assets():
        if name not in assets:
            faults.append(FieldError(pointer, "asset_missing", f"There is no picture named {name!r}."))
            continue
        try:
            header = pictures.check(assets[name])
            pixels[name] = header.width * header.height
        except InvitreeError as error:
            faults.append(FieldError(pointer, error.code, error.detail))
    if sum(pixels.values()) + _shown_pixels(document) > MOST_PIXELS or sum(map(len, assets.values())) > MOST_BYTES:
        most = f"{MOST_PIXELS // 1_000_000} megapixels and {MOST_BYTES // 1024 // 1024} MiB"
        detail = f"All pictures together may have {most}, each as it is and wherever it is shown."
        faults.append(FieldError("/layers", "pictures_too_large_together", detail))
    return faults


def _shown_pixels(document: Document) -> int:
    return sum(layer.width * layer.height for layer in document.layers if isinstance(layer, ImageLayer))


def _digest(document: Document, assets: Mapping[str, bytes]) -> str:
    parts = {name: hashlib.sha256(data).hexdigest() for name, data in assets.items()}
    whole = json.dumps([document.model_dump(mode="json"), parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(whole.encode()).hexdigest()
