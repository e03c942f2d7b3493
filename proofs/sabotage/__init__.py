"""Failpoints and bugs, put into a running copy of the application from outside: `app/` knows nothing of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from proofs.sabotage import seams

Sabotage = Callable[[], None]
CATALOGUE: dict[str, Sabotage] = {}


def named(name: str) -> Callable[[Sabotage], Sabotage]:
    def register(sabotage: Sabotage) -> Sabotage:
        CATALOGUE[name] = sabotage
        return sabotage

    return register


def apply(names: Sequence[str], fired: Path | None = None) -> None:
    """Into this process, before the program runs. `fired`: the file that is made when one of them strikes."""
    seams.FIRED = fired
    for name in names:
        CATALOGUE[name]()
