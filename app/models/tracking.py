from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger, Date, Index, LargeBinary, SmallInteger, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, TenantRow
from app.db.types import Id, Instant


class TrackedEvent(Base):
    """A raw click, scan, view or share. Partitioned by day of receipt, read by *system* only and under no policy,
    because COPY is refused under row-level security; merchants read the rollups."""

    __tablename__ = "tracked_events"
    __table_args__ = ({"postgresql_partition_by": "RANGE (received_at)"},)

    received_at: Mapped[Instant] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(Id("evt"), primary_key=True)
    merchant_id: Mapped[str] = mapped_column(Id("mch"))
    campaign_id: Mapped[str] = mapped_column(Id("cmp"))
    participant_id: Mapped[str] = mapped_column(Id("ptc"))
    client_event_id: Mapped[str | None] = mapped_column(String(64))
    type: Mapped[str] = mapped_column(String(8))
    outcome: Mapped[str] = mapped_column(String(8))  # human, bot or late (the campaign had ended)
    channel: Mapped[str] = mapped_column(String(32))
    visitor: Mapped[bytes | None] = mapped_column(LargeBinary)
    occurred_at: Mapped[Instant]
    address: Mapped[str | None] = mapped_column(Text)
    user_agent: Mapped[str | None] = mapped_column(Text)


class EventKey(Base):
    """A client's event id, hashed and remembered for 30 days, so that a late repeat counts nothing."""

    __tablename__ = "event_keys"
    __table_args__ = (Index("ix_event_keys_seen_on", "seen_on", postgresql_using="brin"),)

    merchant_id: Mapped[str] = mapped_column(Id("mch"), primary_key=True)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    seen_on: Mapped[date] = mapped_column(Date)


class StreamPosition(Base):
    """How far a shard's stream has been drained; moved in the transaction that stored its entries.

    `sequence` numbers the entries without gaps: a step back or a gap says that Redis has lost some of its past.
    `rebuilt` is false until the live counters agree again with the rows after such a loss.
    """

    __tablename__ = "stream_positions"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[str] = mapped_column(String(64))
    position: Mapped[str] = mapped_column(String(40))
    sequence: Mapped[int] = mapped_column(BigInteger, server_default="0")
    rebuilt: Mapped[bool] = mapped_column(server_default=text("false"))


class ShardCount(Base):
    """Into how many shards campaigns are spread, since when and by whom: the newest version is in force."""

    __tablename__ = "shard_counts"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    shards: Mapped[int] = mapped_column(SmallInteger)
    actor: Mapped[str] = mapped_column(String(64))
    at: Mapped[Instant] = mapped_column(server_default=func.now())


class StreamLease(Base):
    """Which worker drains a shard, and until when nobody else may."""

    __tablename__ = "stream_leases"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    holder: Mapped[str] = mapped_column(String(64))
    held_until: Mapped[Instant]


class SetAsideEntry(Base):
    """An entry of a stream that could not be drained, as it was. It may hold addresses: kept for 30 days."""

    __tablename__ = "set_aside_entries"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    entry_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    set_aside_at: Mapped[Instant] = mapped_column(primary_key=True, server_default=func.now())
    sequence: Mapped[int] = mapped_column(BigInteger)
    packed: Mapped[bytes] = mapped_column(LargeBinary)
    repeats: Mapped[bytes] = mapped_column(LargeBinary)
    reason: Mapped[str] = mapped_column(Text)


class CounterRepair(TenantRow, Base):
    """A campaign whose live counters may differ from the rows: set right by the worker, then deleted."""

    __tablename__ = "counter_repairs"

    id: Mapped[str] = mapped_column(Id("job"), primary_key=True)
    campaign_id: Mapped[str] = mapped_column(Id("cmp"))
    requested_at: Mapped[Instant] = mapped_column(server_default=func.now())


class ParticipantTotals(TenantRow, Base):
    """Events of a participant by hour (of occurrence) and channel, counted from rows that were newly stored."""

    __tablename__ = "participant_totals"
    __table_args__ = (Index("ix_participant_totals_of_campaign", "campaign_id", "hour"),)

    participant_id: Mapped[str] = mapped_column(Id("ptc"), primary_key=True)
    hour: Mapped[Instant] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(32), primary_key=True)
    campaign_id: Mapped[str] = mapped_column(Id("cmp"))
    clicks: Mapped[int] = mapped_column(BigInteger, server_default="0")
    scans: Mapped[int] = mapped_column(BigInteger, server_default="0")
    views: Mapped[int] = mapped_column(BigInteger, server_default="0")
    shares: Mapped[int] = mapped_column(BigInteger, server_default="0")
    bot_hits: Mapped[int] = mapped_column(BigInteger, server_default="0")
    late_hits: Mapped[int] = mapped_column(BigInteger, server_default="0")


class ParticipantVisitor(TenantRow, Base):
    """One visitor of one participant on one day in China; the rows are what `unique_visitors` counts."""

    __tablename__ = "participant_visitors"

    participant_id: Mapped[str] = mapped_column(Id("ptc"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    visitor: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    campaign_id: Mapped[str] = mapped_column(Id("cmp"))
