"""Who is looking at their own page: a signed cookie, opened by a phone code."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

from app.kit.errors import Forbidden
from app.settings import Settings

COOKIE = "ivt_session"
MAX_AGE = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Visitor:
    """A member of a merchant, known by phone; may see all participants that this member is."""

    merchant_id: str
    member_id: str


def open_session(response: Response, settings: Settings, visitor: Visitor) -> None:
    value = _serializer(settings).dumps([visitor.merchant_id, visitor.member_id])
    secure = settings.public_url.startswith("https://")
    response.set_cookie(COOKIE, value, MAX_AGE, path="/h5", secure=secure, httponly=True, samesite="lax")


def read_session(request: Request, settings: Settings) -> Visitor | None:
    try:
        merchant_id, member_id = _serializer(settings).loads(request.cookies.get(COOKIE, ""), max_age=MAX_AGE)
    except (BadSignature, ValueError, TypeError):
        return None
    return Visitor(merchant_id, member_id)


def require_session(request: Request, settings: Settings) -> Visitor:
    visitor = read_session(request, settings)
    if visitor is None:
        raise Forbidden("session_missing", "Open this page after signing in with a phone code.")
    return visitor


def _serializer(settings: Settings) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings.secret_key.get_secret_value(), salt="h5-session")
