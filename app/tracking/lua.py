"""The scripts that run inside Redis."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

_FOLDER = Path(__file__).with_name("scripts")


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)

    async def run(self, redis: Redis, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """By its hash; a Redis that does not know it has run nothing, and is given the text."""
        client: Any = redis
        try:
            return await client.evalsha(self.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return await client.eval(self.text, len(keys), *keys, *arguments)


def _load(*names: str) -> Script:
    return Script("\n".join((_FOLDER / f"{name}.lua").read_text("utf-8") for name in names))


RECORD = _load("record")
READ = _load("read")
FIGURES = _load("figures")
FOLD = _load("fold")
REPAIR_PARTICIPANTS = _load("pending", "repair_participants")
REPAIR_CAMPAIGN = _load("pending", "repair_campaign")
