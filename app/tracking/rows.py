"""Counters as the rows in Postgres have them, in the shapes of Redis. Reads as *system*; ids are UUIDs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.tracking.hits import COUNTERS, hour_of, micros
from app.tracking.live import hour_field

UNIQUE = "unique_visitors"
Counts = dict[str, int]

_SUMS = ", ".join(f"sum({name})::bigint AS {name}" for name in COUNTERS)
_PARTICIPANTS = text("""
    SELECT id FROM participants WHERE merchant_id = :merchant AND campaign_id = :campaign AND id > :after
    ORDER BY id LIMIT :most
""")
_PARTICIPANT_SUMS = text(f"""
    SELECT participant_id, {_SUMS} FROM participant_totals
    WHERE merchant_id = :merchant AND participant_id = ANY(:participants) GROUP BY participant_id
""")  # noqa: S608 - constants above
_PARTICIPANT_VISITORS = text("""
    SELECT participant_id, count(*) FROM participant_visitors
    WHERE merchant_id = :merchant AND participant_id = ANY(:participants) GROUP BY participant_id
""")
_RECENT_VISITORS = text("""
    SELECT participant_id, day, array_agg(translate(encode(visitor, 'base64'), '+/', '-_'))
    FROM (SELECT participant_id, day, visitor,
                 (row_number() OVER (PARTITION BY participant_id, day ORDER BY visitor) - 1) / :most AS part
          FROM participant_visitors
          WHERE merchant_id = :merchant AND participant_id = ANY(:participants) AND day = ANY(:days)) numbered
    GROUP BY participant_id, day, part
""")
# Fetched at once. The next ones are when these are staged: until then the session is silent.
_PARTS_AT_ONCE = 50
_KNOWN_VISITS = text("""
    SELECT count(*) FROM participant_visitors
    WHERE merchant_id = :merchant AND (participant_id, day, visitor) IN
        (SELECT * FROM unnest(CAST(:participants AS uuid[]), CAST(:days AS date[]), CAST(:visitors AS bytea[])))
""")
_CAMPAIGN_VISITORS = text("""
    SELECT count(*) FROM participant_visitors WHERE merchant_id = :merchant AND participant_id IN
        (SELECT id FROM participants WHERE merchant_id = :merchant AND campaign_id = :campaign)
""")
_HOURS = text(f"""
    SELECT hour, channel, {_SUMS} FROM participant_totals
    WHERE merchant_id = :merchant AND campaign_id = :campaign GROUP BY hour, channel
""")  # noqa: S608 - constants above
_CAMPAIGNS = text("""
    SELECT merchant_id, id FROM campaigns
    WHERE merchant_id = coalesce(CAST(:merchant AS uuid), merchant_id) AND id = coalesce(CAST(:campaign AS uuid), id)
    ORDER BY merchant_id, id
""")
_COUNT = text("SELECT count(*) FROM participants WHERE campaign_id = ANY(:campaigns)")
_OFFSET = text("SELECT clock_offset_seconds FROM merchants WHERE id = :merchant")


async def participants_after(
    session: AsyncSession, merchant_id: UUID, campaign_id: UUID, *, after: UUID, most: int
) -> list[UUID]:
    given = {"merchant": merchant_id, "campaign": campaign_id, "after": after, "most": most}
    return list(await session.scalars(_PARTICIPANTS, given))


async def count_participants(session: AsyncSession, campaigns: Sequence[UUID]) -> int:
    return await session.scalar(_COUNT, {"campaigns": list(campaigns)}) or 0


async def of_participants(session: AsyncSession, merchant_id: UUID, participants: Sequence[UUID]) -> dict[UUID, Counts]:
    """All counters of each, also those at zero."""
    given = {"merchant": merchant_id, "participants": list(participants)}
    found = {participant: dict.fromkeys((*COUNTERS, UNIQUE), 0) for participant in participants}
    for participant, *sums in await session.execute(_PARTICIPANT_SUMS, given):
        found[participant].update(zip(COUNTERS, sums, strict=True))
    for participant, visitors in await session.execute(_PARTICIPANT_VISITORS, given):
        found[participant][UNIQUE] = visitors
    return found


async def visitors_of(
    session: AsyncSession, merchant_id: UUID, participants: Sequence[UUID], days: Sequence[date], *, most: int
) -> AsyncIterator[tuple[UUID, date, list[str]]]:
    """At most so many of one participant's day at a time.

    Spelled as in Redis, by the database: Python takes longer for that than for all the rest.
    """
    given = {"merchant": merchant_id, "participants": list(participants), "days": list(days), "most": most}
    found = await session.stream(_RECENT_VISITORS, given, execution_options={"yield_per": _PARTS_AT_ONCE})
    async for participant, day, visitors in found:
        yield participant, day, visitors


async def count_known(session: AsyncSession, merchant_id: UUID, visits: Collection[tuple[UUID, date, bytes]]) -> int:
    """How many of these visits, of participant, day and visitor, there are."""
    if not visits:
        return 0
    participants, days, visitors = map(list, zip(*visits, strict=True))
    given = {"merchant": merchant_id, "participants": participants, "days": days, "visitors": visitors}
    return await session.scalar(_KNOWN_VISITS, given) or 0


async def of_campaign(session: AsyncSession, merchant_id: UUID, campaign_id: UUID) -> tuple[Counts, Counts]:
    """The campaign's counters, and its counts by hour and channel."""
    given = {"merchant": merchant_id, "campaign": campaign_id}
    counts, hours = dict.fromkeys(COUNTERS, 0), {}
    for hour, channel, *sums in await session.execute(_HOURS, given):
        for name, number in zip(COUNTERS, sums, strict=True):
            counts[name] += number
            if number:
                hours[hour_field(hour_of(micros(hour)), channel, name)] = number
    visitors = await session.scalar(_CAMPAIGN_VISITORS, given)
    return {**counts, UNIQUE: visitors}, hours


async def clock_offset_seconds(session: AsyncSession, merchant_id: UUID) -> int:
    return await session.scalar(_OFFSET, {"merchant": merchant_id}) or 0


async def campaigns(
    session: AsyncSession, merchant_id: UUID | None, campaign_id: UUID | None
) -> list[tuple[UUID, UUID]]:
    """`(merchant, campaign)` of all, of one merchant's, or of one."""
    given = {"merchant": merchant_id, "campaign": campaign_id}
    return [(merchant, campaign) for merchant, campaign in await session.execute(_CAMPAIGNS, given)]
