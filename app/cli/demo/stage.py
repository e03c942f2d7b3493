"""What the play carries from act to act, and how it shows where it is."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.progress import Progress

from app.cli.demo.account import Account
from app.cli.demo.client import Api


@dataclass(slots=True)
class Merchant:
    name: str
    merchant_id: str
    live: Api
    test: Api
    live_key: str
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
    batch: dict[str, Any] = field(default_factory=dict)
    posters: list[Path] = field(default_factory=list)
    gallery: Path = Path()

    @property
    def api(self) -> Api:
        return self.merchants[0].test

    @contextmanager
    def act(self, title: str, total: int) -> Iterator[Callable[[], None]]:
        task = self.progress.add_task(f"{title:<28}", total=total)
        yield lambda: self.progress.advance(task)
        self.progress.update(task, completed=total)
