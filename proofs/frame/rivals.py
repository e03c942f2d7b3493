"""`python -m proofs.frame.rivals PEOPLE`: batches of the same people into Postgres, many at once; 1 where one fails.

People: targets in JSON.
"""

from __future__ import annotations

import asyncio
import random
import sys

import msgspec
from uuid_utils.compat import uuid7

from app.db.session import Database
from app.kit import clock
from app.settings import get_settings
from app.tracking import fallback
from app.tracking.hits import Hit, Target, micros

RIVALS = 8
BATCHES = 12


async def main(targets: list[Target]) -> int:
    db = Database.from_settings(get_settings())
    failures: list[str] = []

    async def hand_in(number: int) -> None:
        dice = random.Random(number)
        for _ in range(BATCHES):
            if failures:
                return
            try:
                await fallback.record(db, [new_hit(target) for target in dice.sample(targets, len(targets))])
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                failures.append(repr(error))

    await asyncio.gather(*map(hand_in, range(RIVALS)))
    await db.close()
    print(f"{len(failures)} batches failed", *failures[:2], sep="; ")
    return 1 if failures else 0


def new_hit(target: Target) -> Hit:
    now = micros(clock.utcnow())
    return Hit(uuid7(), target, "click", "human", "direct", now, now)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(msgspec.json.decode(sys.argv[1], type=list[Target]))))
