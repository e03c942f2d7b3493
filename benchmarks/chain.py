"""The invite tree at a million participants: the chain upwards, the tree downwards."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import ids
from app.models import Participant
from app.referrals import queries, tree
from benchmarks.forest import Forest, plant
from benchmarks.rounds import interleaved
from proofs.frame.command import Entry
from proofs.frame.report import Figure
from proofs.frame.stage import Stage

PEOPLE, QUICK_PEOPLE = 1_000_000, 200_000
BRANCH = 5_000
ROUNDS, CALLS = 5, 200
MOST_OVER_LOOKUP, LEAST_FASTER = 1.5, 5.0
PATIENCE = 1_200

RECURSIVE = text("""
    WITH RECURSIVE below AS (
        SELECT id, 0 AS level FROM participants WHERE merchant_id = :merchant_id AND id = :id
        UNION ALL
        SELECT p.id, below.level + 1 FROM below JOIN participants p
            ON p.merchant_id = :merchant_id AND p.inviter_id = below.id
    )
    SELECT level, count(*) FROM below WHERE level > 0 GROUP BY level ORDER BY level
""")


async def run(stage: Stage, quick: bool) -> Sequence[Figure]:
    forest = await plant(stage, QUICK_PEOPLE if quick else PEOPLE)
    async with stage.resources.db.tenant(forest.merchant_id) as session:
        return [await chain_up(session, forest), await tree_down(session, forest)]


BENCH = Entry("chain", run, seconds=PATIENCE)


async def chain_up(session: AsyncSession, forest: Forest) -> Figure:
    """`ancestors` of anybody, against reading one participant by its id: whole calls, rows as objects."""
    dice = random.Random(1)
    people = len(forest.parents)
    chosen = [forest.id_of(dice.randrange(people)) for _ in range(CALLS)]
    known = [await _get(session, forest, participant_id) for participant_id in chosen]
    above: list[int] = []

    async def ancestors() -> None:
        for participant in known:
            session.expunge_all()
            above.append(len(await tree.ancestors(session, merchant_id=forest.merchant_id, participant=participant)))

    async def lookup() -> None:
        for participant_id in chosen:
            session.expunge_all()
            await _get(session, forest, participant_id)

    times = await interleaved({"ancestors": ancestors, "lookup": lookup}, rounds=ROUNDS)
    value, ceiling = (times[name] / CALLS * 1_000 for name in ("ancestors", "lookup"))
    remark = f"{sum(above) / len(above):.1f} ancestors on average, {max(above)} at most, among {people} people"
    return Figure(
        "chain.ancestors",
        value,
        "ms",
        ceiling,
        value / ceiling,
        f"≤ {MOST_OVER_LOOKUP} × a look-up",
        value / ceiling <= MOST_OVER_LOOKUP,
        [remark],
    )


async def tree_down(session: AsyncSession, forest: Forest) -> Figure:
    """Counting everybody below by level, against a recursive query over the inviters."""
    roots = [await _get(session, forest, participant_id) for participant_id in forest.branches(BRANCH, 8)]

    async def by_path() -> None:
        for root in roots:
            counts = await tree.level_counts(session, merchant_id=forest.merchant_id, participant=root)
            found.append(sum(counts.values()))

    async def by_recursion() -> None:
        for root in roots:
            parameters = {"merchant_id": ids.decode("mch", forest.merchant_id), "id": ids.decode("ptc", root.id)}
            again.append(sum(row[1] for row in await session.execute(RECURSIVE, parameters)))

    found: list[int] = []
    again: list[int] = []
    times = await interleaved({"path": by_path, "recursion": by_recursion}, rounds=ROUNDS)
    assert found[: len(roots)] == again[: len(roots)]
    value, ceiling = (times[name] / len(roots) * 1_000 for name in ("path", "recursion"))
    remark = f"branches of {min(found)} to {max(found)} people"
    return Figure(
        "chain.subtree",
        value,
        "ms",
        ceiling,
        ceiling / value,
        f"≥ {LEAST_FASTER:g} × faster than a recursive query",
        ceiling / value >= LEAST_FASTER,
        [remark],
    )


async def _get(session: AsyncSession, forest: Forest, participant_id: str) -> Participant:
    return await queries.get_participant(session, merchant_id=forest.merchant_id, participant_id=participant_id)
