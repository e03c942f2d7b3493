"""Every error a client can see, as one tree. Raised anywhere, rendered once by `app.api.errors`.

InvitreeError
├── BadRequest       400  unreadable
├── Unauthorized     401
├── PaymentRequired  402
├── Forbidden        403
├── NotFound         404  also for what belongs to another tenant
├── Conflict         409  a state that does not allow it
├── TooLarge         413
├── Unprocessable    422  readable, but does not fit
├── TooManyRequests  429
└── Unavailable      503  try again later
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field at fault: `pointer` is a JSON Pointer into the request body."""

    pointer: str
    code: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class InvitreeError(Exception):
    """`code` is stable snake_case that clients may switch on; `detail` is a sentence a developer can act on.

    `kept`: what was written before it stays. For a counted attempt only, which a rollback would give back.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: list[FieldError] | None = None,
        retry_after: int | None = None,
        kept: bool = False,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.errors = errors or []
        self.retry_after = retry_after
        self.kept = kept

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class BadRequest(InvitreeError):
    status = 400
    title = "Bad request"


class Unauthorized(InvitreeError):
    status = 401
    title = "Unauthorized"


class PaymentRequired(InvitreeError):
    status = 402
    title = "Payment required"


class Forbidden(InvitreeError):
    status = 403
    title = "Forbidden"


class NotFound(InvitreeError):
    status = 404
    title = "Not found"


class Conflict(InvitreeError):
    status = 409
    title = "Conflict"


class TooLarge(InvitreeError):
    status = 413
    title = "Content too large"


class Unprocessable(InvitreeError):
    status = 422
    title = "Unprocessable content"


class TooManyRequests(InvitreeError):
    status = 429
    title = "Too many requests"


class Unavailable(InvitreeError):
    status = 503
    title = "Service unavailable"

    def __init__(self, code: str, detail: str, *, retry_after: int = 30) -> None:
        super().__init__(code, detail, retry_after=retry_after)


def not_found(noun: str) -> NotFound:
    """The one answer for a missing, malformed or foreign id, so that none can be told from another."""
    return NotFound(f"{noun}_not_found", f"No such {noun.replace('_', ' ')}.")
