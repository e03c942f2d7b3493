"""Small files in a request: a form with `file`, as browsers and libraries send it, or the bytes themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.datastructures import UploadFile

from app.kit import ids
from app.kit.errors import FieldError, Unprocessable

_EXAMPLE = (
    "payout_id,status,external_id,reason,paid_at\n"
    "pay_01h2xcejqtf2nbrexx3vqjhp41,paid,20261121001,,2026-11-21T08:00:00+08:00\n"
)
_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}, "user_id": {"type": "string"}},
}
CSV_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": _EXAMPLE},
            "multipart/form-data": {"schema": _FORM, "example": {"file": _EXAMPLE}},
        },
    }
}


@dataclass(frozen=True, slots=True)
class CsvFile:
    """`user_id`: who sends it, from the form or the query."""

    content: bytes
    user_id: str | None


async def read_csv_file(
    request: Request, user_id: Annotated[str | None, Query(description="Where the body is the CSV itself.")] = None
) -> CsvFile:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _from_form(request)
    if kind != "text/csv":
        raise Unprocessable("content_type_unexpected", "Send text/csv, or multipart/form-data with `file`.")
    return CsvFile(await request.body(), _checked(user_id))


async def _from_form(request: Request) -> CsvFile:
    async with request.form(max_files=1, max_fields=8) as form:
        file, user_id = form.get("file"), form.get("user_id")
        if not isinstance(file, UploadFile):
            raise Unprocessable(
                "validation_failed", "/file: is missing", errors=[FieldError("/file", "missing", "is missing")]
            )
        return CsvFile(await file.read(), _checked(user_id if isinstance(user_id, str) else None))


def _checked(user_id: str | None) -> str | None:
    """A key must not be given for a person: it is trusted without a role."""
    if not user_id:
        return None
    try:
        ids.decode("usr", user_id)
    except ValueError:
        fault = FieldError("/user_id", "id_invalid", "should be an id like usr_01h2xcejqtf2nbrexx3vqjhp41")
        raise Unprocessable("validation_failed", f"/user_id: {fault.detail}", errors=[fault]) from None
    return user_id
