"""Who carries a code to a phone or a mailbox. Edges call a provider after the commit, never inside a transaction."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import httpx

from app.kit import logging
from app.kit.errors import Unavailable
from app.settings import Settings

log = logging.get(__name__)
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class SentCode:
    """A code to deliver once its transaction is committed; `sandbox_code` is what a page or an answer may show."""

    to: str = field(repr=False)
    code: str = field(repr=False)
    expires_at: datetime
    sandbox_code: str | None = field(repr=False)


class PhoneCodeSender(Protocol):
    shows_code: bool

    async def deliver(self, sent: SentCode) -> None: ...


class SandboxSender:
    """Sends nothing: whoever asks is shown the code."""

    shows_code = True

    async def deliver(self, sent: SentCode) -> None:
        """Nothing leaves the sandbox."""


class HttpSender:
    """Hands `{to, code, expires_at}` as JSON to a gateway of the operator's, which knows its SMS or mail provider."""

    shows_code = False

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token

    async def deliver(self, sent: SentCode) -> None:
        """Unavailable `code_not_sent` where the gateway does not take it; asked again, a new code goes out."""
        body = {"to": sent.to, "code": sent.code, "expires_at": sent.expires_at.isoformat()}
        try:
            async with httpx.AsyncClient(timeout=PATIENCE_SECONDS, trust_env=False) as client:
                answer = await client.post(self._url, json=body, headers={"Authorization": f"Bearer {self._token}"})
                answer.raise_for_status()
        except httpx.HTTPError as error:
            log.warning("code_not_sent", error=type(error).__name__)
            detail = "The message could not be sent; ask for a new code in a minute."
            raise Unavailable("code_not_sent", detail, retry_after=60) from None


def sender_of(settings: Settings) -> PhoneCodeSender:
    if settings.sms_provider == "http":
        return HttpSender(settings.sms_url or "", settings.sms_token.get_secret_value())
    return SandboxSender()


async def deliver(settings: Settings, sent: SentCode) -> None:
    """By the provider; what is shown, as in test mode always, rings nobody's phone."""
    if sent.sandbox_code is None:
        await sender_of(settings).deliver(sent)


async def deliver_behind(settings: Settings, sent: SentCode) -> None:
    """For after an answer, which can say nothing more: that it failed is in the log, and another can be asked for."""
    with suppress(Unavailable):
        await deliver(settings, sent)
