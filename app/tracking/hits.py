"""One tracked event on its way from the edge through Redis' stream to its row, and its packed form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec

Kind = Literal["click", "scan", "view", "share"]
Outcome = Literal["human", "bot", "late"]
COUNTERS = ("clicks", "scans", "views", "shares", "bot_hits", "late_hits")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
CHINA_US = 8 * HOUR_US


class Target(msgspec.Struct, frozen=True, array_like=True):
    """Whose event it is. UUIDs here, not TypeIDs: spelling an id costs more than recording the event."""

    merchant_id: UUID
    campaign_id: UUID
    participant_id: UUID


class Hit(msgspec.Struct, frozen=True, gc=False):
    """Instants are microseconds since 1970, UTC; `visitor` is 16 characters that tell visitors of one day apart."""

    id: UUID
    target: Target
    kind: Kind
    outcome: Outcome
    channel: str
    occurred_us: int
    received_us: int
    visitor: str | None = None
    client_event_id: str | None = None
    address: str | None = None
    user_agent: str | None = None

    @property
    def counter(self) -> str:
        return counter_of(self.kind, self.outcome)

    @property
    def hour(self) -> int:
        """Hours since 1970."""
        return hour_of(self.occurred_us)

    @property
    def visit_day(self) -> int | None:
        """Days since 1970 in China, where a visitor may count; None where this event is nobody's visit."""
        counts = self.outcome == "human" and self.kind in {"click", "scan"} and self.visitor is not None
        return day_of(self.occurred_us) if counts else None


def counter_of(kind: Kind, outcome: Outcome) -> str:
    return f"{kind}s" if outcome == "human" else f"{outcome}_hits"


_Packed = tuple[UUID, int, Kind, Outcome, str, int, int, str | None, str | None, str | None, str | None]
# As text, because the msgpack reader inside Redis 7.0 does not know binary values.
_encode = msgspec.msgpack.Encoder(uuid_format="hex").encode
_decode = msgspec.msgpack.Decoder(tuple[list[Target], list[_Packed]]).decode


def targets_of(hits: Iterable[Hit]) -> tuple[list[Target], list[int]]:
    """The targets, and for each hit the place of its own among them.

    By identity: an equal target told a second time costs less than hashing three UUIDs for every hit.
    """
    targets: list[Target] = []
    known: dict[int, int] = {}
    places = []
    for hit in hits:
        target = hit.target
        place = known.get(id(target))
        if place is None:
            place = known[id(target)] = len(targets)
            targets.append(target)
        places.append(place)
    return targets, places


def pack(hits: Sequence[Hit]) -> bytes:
    """`[targets, [id, place of its target, kind, outcome, channel, occurred, received, visitor, …]…]`."""
    targets, places = targets_of(hits)
    return pack_at(targets, places, hits)


def pack_at(targets: Sequence[Target], places: Iterable[int], hits: Iterable[Hit]) -> bytes:
    """As `pack`, with what `targets_of` said."""
    packed = [
        (
            hit.id,
            place,
            hit.kind,
            hit.outcome,
            hit.channel,
            hit.occurred_us,
            hit.received_us,
            hit.visitor,
            hit.client_event_id,
            hit.address,
            hit.user_agent,
        )
        for hit, place in zip(hits, places, strict=True)
    ]
    return _encode((targets, packed))


def unpack(data: bytes, *, without: Sequence[int] = ()) -> list[Hit]:
    """The hits, less those at the places in `without`."""
    targets, packed = _decode(data)
    left_out = frozenset(without)
    return [_hit(targets, row) for place, row in enumerate(packed) if place not in left_out]


def _hit(targets: Sequence[Target], packed: tuple[Any, ...]) -> Hit:
    id_, target, *rest = packed
    return Hit(id_, targets[target], *rest)


def micros(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def instant_of(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def hour_of(microseconds: int) -> int:
    return microseconds // HOUR_US


def day_of(microseconds: int) -> int:
    return (microseconds + CHINA_US) // DAY_US


def date_of(day: int) -> date:
    return EPOCH.date() + timedelta(days=day)


def hour_start(hour: int) -> datetime:
    return EPOCH + timedelta(hours=hour)
