"""How Postgres finds rollups that are counted up: by their keys, however little it knows of the tables, and at once."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.resources import Resources
from app.tracking import bulk

# Twice as many as made the planner take another index for as good as the key.
ROWS = 40_000
TOTALS = text("""
    INSERT INTO participant_totals (merchant_id, participant_id, hour, channel, campaign_id)
    SELECT merchant, gen_random_uuid(), date_trunc('hour', now()) - interval '1 hour' * (number % 40), 'chat', campaign
    FROM (SELECT gen_random_uuid() AS merchant, gen_random_uuid() AS campaign) one, generate_series(1, :rows) number
""")
STAGED = text("INSERT INTO pg_temp.drained_totals SELECT * FROM participant_totals LIMIT 1000")


@pytest.mark.parametrize(
    ("statement", "key"), [("MERGE", "pk_participant_totals"), ("INSERT", "pk_participant_visitors")]
)
async def test_rollups_are_found_by_their_keys(resources: Resources, statement: str, key: str) -> None:
    async with resources.db.system() as session:
        await session.execute(TOTALS, {"rows": ROWS})
        driver = await bulk._driver(session)
        await driver.execute(bulk._STAGES)
        await session.execute(STAGED)
        await driver.execute("SET LOCAL jit = on")
        await driver.execute(bulk._IN_ORDER)
        (asked,) = [found for found in bulk._ADD.split(";") if found.strip().startswith(statement)]
        plan = "\n".join(line for (line,) in await driver.fetch(f"EXPLAIN {asked}"))
        await session.rollback()
    assert f"using {key} on" in plan, plan
    assert "JIT" not in plan, plan
