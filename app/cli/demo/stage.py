"""What the play carries from act to act, and how it shows where it is."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from rich.progress import Progress

from app.cli.demo.account import FEES, Account
from app.cli.demo.client import Api
from app.kit import clock


@dataclass(slots=True)
class Merchant:
    name: str
    merchant_id: str
    test_id: str
    live: Api
    test: Api
    test_key: str
    invite_code: str = ""


@dataclass(slots=True)
class Stage:
    http: httpx.AsyncClient
    people: int
    folder: Path
    progress: Progress
    rng: random.Random = field(default_factory=lambda: random.Random(59))  # noqa: S311 - a play, not a secret
    # Phones must be new at every run on the same data, unlike all else.
    fresh: random.Random = field(default_factory=random.SystemRandom)
    account: Account = field(default_factory=Account)
    merchants: list[Merchant] = field(default_factory=list)
    campaign: dict[str, Any] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    batches: list[dict[str, Any]] = field(default_factory=list)
    # What was seen on the way, a line each: what, figure, outcome.
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    ledger: dict[str, Any] = field(default_factory=dict)
    fee_bps: int = FEES["free"]
    ahead: timedelta = timedelta()
    posters: list[Path] = field(default_factory=list)
    gallery: Path = Path()

    @property
    def api(self) -> Api:
        return self.merchants[0].test

    @property
    def now(self) -> datetime:
        """By the merchant's test clock."""
        return clock.utcnow() + self.ahead

    async def pass_time(self, seconds: int) -> None:
        await self.api.post("/v1/test-clock", {"advance_seconds": seconds})
        self.ahead += timedelta(seconds=seconds)

    @contextmanager
    def act(self, title: str, total: int) -> Iterator[Callable[[], None]]:
        task = self.progress.add_task(f"{title:<28}", total=total)
        yield lambda: self.progress.advance(task)
        self.progress.update(task, completed=total)
