"""Days of a campaign's events that are in Postgres already, rollups included, as draining them would have left them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from app.kit import clock, ids
from app.referrals import rules
from app.worker import tracking
from proofs.frame.stage import Stage
from tests.factories import make_campaign, make_merchant

HOURS = 70
_PARTICIPANTS = ("merchant_id", "id", "campaign_id", "member_id", "invite_code", "number", "depth", "path")
# Some participants and the last hours have most; visitors come back, also on the next day.
_EVENTS = f"""
    INSERT INTO tracked_events (received_at, id, merchant_id, campaign_id, participant_id, type, outcome, channel,
                                visitor, occurred_at)
    SELECT at, gen_random_uuid(), $1, $2, ($3::uuid[])[place],
           CASE WHEN kind < 0.6 THEN 'click' WHEN kind < 0.85 THEN 'scan' WHEN kind < 0.95 THEN 'view' ELSE 'share' END,
           CASE WHEN luck < 0.9 THEN 'human' WHEN luck < 0.98 THEN 'bot' ELSE 'late' END,
           'channel-' || floor(30 * random() ^ 2),
           CASE WHEN luck < 0.97
                THEN decode(left(md5(place || '/' || floor(sqrt($4::float) * random())), 24), 'hex') END,
           at
    FROM (SELECT $5::timestamptz - random() ^ 2 * interval '{HOURS} hours' AS at, random() AS kind, random() AS luck,
                 1 + floor(cardinality($3::uuid[]) * random() ^ 2)::int AS place
          FROM generate_series(1, $4::int)) AS made
"""
_TOTALS = """
    INSERT INTO participant_totals (merchant_id, participant_id, hour, channel, campaign_id,
                                    clicks, scans, views, shares, bot_hits, late_hits)
    SELECT merchant_id, participant_id, date_trunc('hour', occurred_at), channel, campaign_id,
           count(*) FILTER (WHERE outcome = 'human' AND type = 'click'),
           count(*) FILTER (WHERE outcome = 'human' AND type = 'scan'),
           count(*) FILTER (WHERE outcome = 'human' AND type = 'view'),
           count(*) FILTER (WHERE outcome = 'human' AND type = 'share'),
           count(*) FILTER (WHERE outcome = 'bot'), count(*) FILTER (WHERE outcome = 'late')
    FROM tracked_events WHERE campaign_id = $1 GROUP BY 1, 2, 3, 4, 5
"""
_VISITORS = """
    INSERT INTO participant_visitors (merchant_id, participant_id, day, visitor, campaign_id)
    SELECT DISTINCT merchant_id, participant_id, (occurred_at + interval '8 hours')::date, visitor, campaign_id
    FROM tracked_events
    WHERE campaign_id = $1 AND outcome = 'human' AND type IN ('click', 'scan') AND visitor IS NOT NULL
"""


async def write_history(stage: Stage, *, events: int, participants: int) -> str:
    """The campaign's id. Takes some 25 s for a million events on two cores."""
    await tracking.make_event_partitions(stage.resources)
    now = clock.utcnow()
    merchant = await make_merchant(stage.resources)
    async with stage.resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id, starts_at=now - timedelta(hours=2 * HOURS))
    merchant_id, campaign_id = ids.decode("mch", merchant.test_id), ids.decode("cmp", campaign.id)
    connection = await asyncpg.connect(stage.stack.owner_url, server_settings={"timezone": "UTC"})
    try:
        people = await _settle(connection, merchant_id, campaign_id, participants)
        await connection.execute(_EVENTS, merchant_id, campaign_id, people, events, now)
        await connection.execute(_TOTALS, campaign_id)
        await connection.execute(_VISITORS, campaign_id)
        await connection.execute("ANALYZE participant_totals, participant_visitors, participants, tracked_events")
    finally:
        await connection.close()
    return campaign.id


async def _settle(connection: asyncpg.Connection, merchant_id: UUID, campaign_id: UUID, count: int) -> list[UUID]:
    """Participants whom nobody invited."""
    first = await connection.fetchval("SELECT nextval('participant_numbers')")
    await connection.execute("SELECT setval('participant_numbers', $1::bigint)", first + count)
    members, people = ([uuid7() for _ in range(count)] for _ in range(2))
    rows = [(merchant_id, member) for member in members]
    await connection.copy_records_to_table("members", records=rows, columns=("merchant_id", "id"))
    participants = [
        (
            merchant_id,
            person,
            campaign_id,
            member,
            ids.new_invite_code(),
            first + place,
            0,
            rules.segment(first + place),
        )
        for place, (person, member) in enumerate(zip(people, members, strict=True))
    ]
    await connection.copy_records_to_table("participants", records=participants, columns=_PARTICIPANTS)
    return people
