"""Every error as RFC 9457 `application/problem+json`, with a stable `code` and the request's id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from asyncpg import PostgresConnectionError, PostgresError
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.kit import logging
from app.kit.errors import BadRequest, FieldError, InvitreeError, NotFound, Unavailable, Unprocessable

log = logging.get(__name__)
PROBLEM = "application/problem+json"
Tell = Callable[[Request, InvitreeError], Response]
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def problem(error: InvitreeError, *, request_id: str, instance: str) -> Response:
    body: dict[str, Any] = {
        "type": f"https://invitree.dev/problems/{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": instance,
        "code": error.code,
        "request_id": request_id,
    }
    if error.errors:
        body["errors"] = [field.as_dict() for field in error.errors]
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="invitree"'
    return Response(msgspec.json.encode(body), error.status, headers, PROBLEM)


def translate(error: Exception) -> InvitreeError | None:
    """The client's view of an error, or None where it is a fault of ours."""
    if isinstance(error, InvitreeError):
        return error
    if isinstance(error, RequestValidationError):
        return _from_validation(error)
    if isinstance(error, HTTPException):
        return _from_http(error)
    if is_database_busy(error):
        # Nothing was begun: whoever waits for a connection has none to do anything on.
        return Unavailable(
            "database_busy", "Every connection to the database is in use; nothing was done. Retry.", retry_after=5
        )
    if is_database_away(error):
        return Unavailable("database_unavailable", "The database is away; nothing was changed. Retry.", retry_after=2)
    if _class_of(error) == "40":
        # A deadlock or a serialisation failure: the database rolled one of two back, and asks it to come again.
        return Unavailable(
            "transaction_conflict", "Two requests crossed; this one changed nothing. Retry.", retry_after=1
        )
    return None


def teller(*, page: Tell, page_prefixes: tuple[str, ...]) -> Tell:
    """Below `page_prefixes` people read the answer: they get `page`, who asks for JSON and everyone else a problem."""

    def tell(request: Request, error: InvitreeError) -> Response:
        if request.url.path.startswith(page_prefixes) and not asks_for_json(request.headers.get("accept", "")):
            return page(request, error)
        return problem(error, request_id=request.state.request_id, instance=request.url.path)

    return tell


def asks_for_json(accept: str) -> bool:
    """A program that says so; browsers ask for pages, and name nothing else so clearly."""
    return "json" in accept and "text/html" not in accept


def install(app: FastAPI, tell: Tell) -> None:
    async def handle(request: Request, error: Exception) -> Response:
        known = translate(error)
        if known is None:
            raise error
        if known.status >= 500:
            log.warning("request_refused", code=known.code, error=repr(error))
        answer = tell(request, known)
        answer.headers.update(getattr(error, "headers", None) or {})
        if known.status == 405:
            answer.headers["Allow"] = _allowed(request)
        return answer

    for kind in (InvitreeError, RequestValidationError, HTTPException, DBAPIError, PostgresError, PoolTimeout, OSError):
        app.add_exception_handler(kind, handle)


def _allowed(request: Request) -> str:
    """Of all routes on this path: the framework tells the first one's methods only."""
    scopes = {method: {**request.scope, "method": "GET" if method == "HEAD" else method} for method in _METHODS}
    routes = request.app.routes
    return ", ".join(m for m, scope in scopes.items() if any(r.matches(scope)[0] is Match.FULL for r in routes))


def is_database_busy(error: BaseException) -> bool:
    """Whether it is there, and no connection was to be had: of our own pool, or of the server's."""
    return isinstance(error, PoolTimeout) or _state_of(error) == "53300"


def is_database_away(error: BaseException) -> bool:
    """Whether the database could not be reached, told apart from a statement that it refused."""
    if isinstance(error, (OperationalError, InterfaceError, PoolTimeout, ConnectionError, asyncio.TimeoutError)):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, PostgresConnectionError) or _class_of(error) in {"08", "53", "57"}


def _class_of(error: BaseException) -> str:
    return _state_of(error)[:2]


def _state_of(error: BaseException) -> str:
    """The error's SQLSTATE. What a connection is refused with, as by a server that starts, comes unwrapped."""
    cause = getattr(error.orig, "__cause__", None) if isinstance(error, DBAPIError) else error
    state = cause.sqlstate if isinstance(cause, PostgresError) else None
    return state or ""


def _from_http(error: HTTPException) -> InvitreeError:
    if isinstance(error.__cause__, InvitreeError):
        # A form that was refused while it was read; the framework says of all of these that they cannot be parsed.
        return error.__cause__
    if error.status_code == 404:
        return NotFound("route_not_found", "No such address; the paths are listed at /docs.")
    known = BadRequest("request_unreadable", str(error.detail))
    known.status = error.status_code  # type: ignore[misc]  # 405 and its like carry the framework's own status
    if error.status_code == 405:
        known.code, known.title = "method_not_allowed", "Method not allowed"  # type: ignore[misc]
    return known


def _from_validation(error: RequestValidationError) -> InvitreeError:
    fields = [_field(entry) for entry in error.errors()]
    if any(entry["type"] == "json_invalid" for entry in error.errors()):
        return BadRequest("json_invalid", "The body is not valid JSON.")
    in_path = all(entry["loc"][0] == "path" for entry in error.errors())
    if in_path:
        return NotFound("route_not_found", "No such address.")
    if isinstance(error.body, bytes) and error.body:
        return Unprocessable("content_type_unexpected", "The body is JSON: send it with Content-Type application/json.")
    first = fields[0]
    return Unprocessable("validation_failed", f"{first.pointer or 'body'}: {first.detail}", errors=fields)


def _field(entry: dict[str, Any]) -> FieldError:
    place, *path = entry["loc"]
    escaped = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
    pointer = escaped if place == "body" else f"{place}:{'.'.join(map(str, path))}"
    context = entry.get("ctx") or {}
    return FieldError(pointer, str(context.get("code", entry["type"])), str(entry["msg"]).removeprefix("Value error, "))
