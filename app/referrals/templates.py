"""Poster templates: the built-in ones, and merchants' own, which are checked before they are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.pages import Page, PageQuery, fetch_page
from app.db.rows import get_row
from app.kit import ids
from app.kit.errors import FieldError, Unprocessable, not_found
from app.models import PosterTemplate, PosterTemplateVersion
from app.poster import BUILTIN, OFFERED, Problem, Template, load_template, named_assets
from app.referrals import assets

_WITHOUT_OWN = "refer_a_friend"
_IN_BODY = "/document"


def builtin_for(kind: str) -> str:
    """The name of the built-in template that campaigns of this kind show where they name none."""
    return kind if kind in OFFERED else _WITHOUT_OWN


async def get(session: AsyncSession, *, merchant_id: str, template_id: str) -> PosterTemplate:
    """NotFound `poster_template_not_found`."""
    return await get_row(session, PosterTemplate, merchant_id=merchant_id, row_id=template_id, noun="poster_template")


async def page(session: AsyncSession, *, merchant_id: str, query: PageQuery) -> Page[PosterTemplate]:
    return await fetch_page(session, select(PosterTemplate).where(PosterTemplate.merchant_id == merchant_id), query)


async def show(
    session: AsyncSession, *, merchant_id: str, template_id: str, version: int | None = None
) -> dict[str, Any]:
    """The view of a merchant's own, as it is or as it was, or of a built-in one by its name."""
    if template_id in OFFERED:
        return builtin_view(template_id)
    row = await get(session, merchant_id=merchant_id, template_id=template_id)
    if version in (None, row.version):
        return template_view(row)
    old = await session.get(PosterTemplateVersion, (merchant_id, template_id, version))
    if old is None:
        raise not_found("poster_template")
    return template_view(row) | {"version": old.version, "document": old.document, "warnings": []}


async def find(session: AsyncSession, *, merchant_id: str, template_id: str, version: int | None = None) -> Template:
    """Ready to draw: a merchant's own by its id, a built-in one by its name. NotFound `poster_template_not_found`."""
    if template_id in OFFERED:
        return BUILTIN[template_id]
    row = await get(session, merchant_id=merchant_id, template_id=template_id)
    key = (merchant_id, template_id, version or row.version)
    if key not in _KEPT:
        shown = await show(session, merchant_id=merchant_id, template_id=template_id, version=version)
        _keep(key, await _load(session, merchant_id, shown["document"]))
    return _KEPT[key]


# Ready templates by merchant, id and version. A version never changes, and each poster, even one that was not changed,
# would have its document and pictures read and checked anew.
_KEPT: dict[tuple[str, str, int], Template] = {}
_MOST_KEPT, _MOST_KEPT_BYTES = 64, 32 * 1024 * 1024


def _keep(key: tuple[str, str, int], template: Template) -> None:
    """The oldest go where it is too much."""
    _KEPT[key] = template
    while len(_KEPT) > 1 and (len(_KEPT) > _MOST_KEPT or sum(map(_size, _KEPT.values())) > _MOST_KEPT_BYTES):
        del _KEPT[next(iter(_KEPT))]


def _size(template: Template) -> int:
    return sum(map(len, template.assets.values()))


async def prepare(session: AsyncSession, *, merchant_id: str, document: Mapping[str, Any]) -> Template:
    """A document from a request, with its pictures; Unprocessable `poster_template_invalid`."""
    try:
        return await _load(session, merchant_id, document)
    except Unprocessable as error:
        raise Unprocessable(error.code, error.detail, errors=[_in_body(field) for field in error.errors]) from None


async def _load(session: AsyncSession, merchant_id: str, document: Mapping[str, Any]) -> Template:
    names = named_assets(document)
    return load_template(document, await assets.contents(session, merchant_id=merchant_id, asset_ids=names))


def require_usable(problems: Sequence[Problem]) -> list[dict[str, str]]:
    """The warnings among them; Unprocessable `poster_template_check_failed` where one is an error."""
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        detail = "; ".join(dict.fromkeys(problem.detail for problem in errors))
        fields = [_in_body(FieldError(problem.pointer, problem.code, problem.detail)) for problem in errors]
        raise Unprocessable("poster_template_check_failed", detail, errors=fields)
    return [{name: value for name, value in asdict(problem).items() if name != "severity"} for problem in problems]


def _in_body(field: FieldError) -> FieldError:
    return FieldError(_IN_BODY + field.pointer, field.code, field.detail)


async def create(
    session: AsyncSession, *, merchant_id: str, values: Mapping[str, Any], now: datetime
) -> PosterTemplate:
    """`values` of columns; the document was checked before."""
    row = PosterTemplate(merchant_id=merchant_id, id=ids.new("tpl"), version=1, created_at=now, **values)
    session.add(row)
    await session.flush()
    await _note_version(session, row)
    return row


async def change(
    session: AsyncSession, *, merchant_id: str, template_id: str, values: Mapping[str, Any]
) -> PosterTemplate:
    """Another version, where anything differs; posters that use it show it from then on."""
    row = await get(session, merchant_id=merchant_id, template_id=template_id)
    # Of two who change it at once, the second counts on from the first.
    await session.refresh(row, with_for_update=True)
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    for name, value in changed.items():
        setattr(row, name, value)
    row.version += bool(changed)
    await session.flush()
    if changed:
        await _note_version(session, row)
    return row


async def _note_version(session: AsyncSession, row: PosterTemplate) -> None:
    session.add(
        PosterTemplateVersion(
            merchant_id=row.merchant_id, template_id=row.id, version=row.version, document=row.document
        )
    )
    await session.flush()


def template_view(row: PosterTemplate) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "poster_template",
        "builtin": False,
        "name": row.name,
        "version": row.version,
        "document": row.document,
        "warnings": row.warnings,
        "metadata": row.meta,
        "created_at": row.created_at,
    }


def builtin_view(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "poster_template",
        "builtin": True,
        "name": OFFERED[name],
        "version": 1,
        "document": BUILTIN[name].document.model_dump(mode="json"),
        "warnings": [],
        "metadata": {},
        "created_at": None,
    }
