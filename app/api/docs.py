"""`/docs` with vendored assets, so that it works without the Internet."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response

from app.kit.errors import not_found

DESCRIPTION = """\
Referral campaigns, membership days, commissions and payouts. Money is integer minor units; instants are RFC 3339
in UTC; ids are TypeIDs; errors are RFC 9457 problem documents with a stable `code`.
"""
FOLDER = Path(__file__).parent / "swagger"
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
# The viewer draws its arrows from data: pictures; everything else comes from here, and nothing is inline.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FOR_EVER = "public, max-age=31536000, immutable"


def install_docs(app: FastAPI) -> None:
    """Serve the viewer and its assets, under a name that changes with their content."""
    packed = _read_assets()
    digest = hashlib.sha256(b"".join(packed.values())).hexdigest()[:12]
    page = (FOLDER / "index.html").read_text("utf-8").replace("{base}", f"docs/{digest}")
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def docs() -> Response:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return Response(page, media_type="text/html", headers=headers)

    @router.get(f"/docs/{digest}/{{name}}")
    async def asset(name: str, request: Request) -> Response:
        if name not in packed:
            raise not_found("route")
        return _answer(packed[name], KINDS[Path(name).suffix], request.headers.get("accept-encoding", ""))

    app.include_router(router)


def _read_assets() -> dict[str, bytes]:
    """Name → gzip of the content: packed they are a quarter, in the repository as on the wire."""
    assets = {path.name.removesuffix(".gz"): path.read_bytes() for path in sorted(FOLDER.glob("*.gz"))}
    return {**assets, "start.js": gzip.compress((FOLDER / "start.js").read_bytes(), mtime=0)}


def _answer(packed: bytes, kind: str, accept_encoding: str) -> Response:
    headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"}
    if not _takes_gzip(accept_encoding):
        return Response(gzip.decompress(packed), media_type=kind, headers=headers)
    return Response(packed, media_type=kind, headers={**headers, "Content-Encoding": "gzip"})


def _takes_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        coding, _, weight = part.replace(" ", "").partition(";q=")
        if coding in {"gzip", "*"}:
            return weight.strip("0.") != "" or not weight
    return False
