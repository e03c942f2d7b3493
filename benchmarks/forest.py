"""A campaign with very many participants, as signups would have left them: the same columns, copied in as the owner."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from app.cli.output import progress
from app.kit import clock, ids
from app.kit.ids import INVITE_ALPHABET, INVITE_LENGTH
from app.referrals import rules
from proofs.frame.stage import Stage
from tests.factories import make_campaign, make_merchant

BATCH = 20_000
# One in so many comes by nobody's invite; each of the others by anybody who was there before.
ROOT_EVERY = 1_000
ROOM_FOR_PLACES = (1 << 40) - 1
MEMBER_COLUMNS = ("merchant_id", "id", "nickname", "created_at")
COLUMNS = (
    *("merchant_id", "id", "campaign_id", "member_id", "invite_code", "number"),
    *("inviter_id", "second_inviter_id", "depth", "path", "created_at"),
)


@dataclass(frozen=True, slots=True)
class Forest:
    """People by place, in the order of signing up; `parents`: the place of each one's inviter, -1 for none."""

    merchant_id: str
    campaign_id: str
    first_id: int
    parents: array[int]

    def id_of(self, place: int) -> str:
        return ids.encode("ptc", UUID(int=self.first_id + place))

    def branches(self, size: int, count: int) -> list[str]:
        """Those with nearest to `size` people below them."""
        below = array("q", bytes(8 * len(self.parents)))
        for place in range(len(self.parents) - 1, -1, -1):
            if self.parents[place] >= 0:
                below[self.parents[place]] += below[place] + 1
        nearest = sorted(range(len(below)), key=lambda place: abs(below[place] - size))
        return [self.id_of(place) for place in nearest[:count]]


async def plant(stage: Stage, people: int) -> Forest:
    """Takes about 40 s for a million on two cores, foreign keys and all indexes included."""
    merchant = await make_merchant(stage.resources)
    async with stage.resources.db.tenant(merchant.test_id) as session:
        campaign = await make_campaign(session, merchant.test_id)
    forest = Forest(merchant.test_id, campaign.id, uuid7().int & ~ROOM_FOR_PLACES, _parents(people))
    connection = await asyncpg.connect(stage.stack.owner_url)
    try:
        first_number = await connection.fetchval("SELECT nextval('participant_numbers')")
        with progress() as bar:
            task = bar.add_task("participants", total=people)
            for members, participants in _batches(forest, first_number):
                await connection.copy_records_to_table("members", records=members, columns=MEMBER_COLUMNS)
                await connection.copy_records_to_table("participants", records=participants, columns=COLUMNS)
                bar.advance(task, len(participants))
        await connection.execute("VACUUM (ANALYZE, PARALLEL 0) participants")
    finally:
        await connection.close()
    return forest


def _parents(people: int) -> array[int]:
    dice = random.Random(people)
    return array("q", [-1 if place % ROOT_EVERY == 0 else dice.randrange(place) for place in range(people)])


def _batches(forest: Forest, first_number: int) -> Iterator[tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]]:
    """Rows of members and of participants, each member with one participant."""
    merchant_id = ids.decode("mch", forest.merchant_id)
    campaign_id = ids.decode("cmp", forest.campaign_id)
    now = clock.utcnow()
    first_member = uuid7().int & ~ROOM_FOR_PLACES
    paths: list[str] = []
    depths = array("q")
    members: list[tuple[Any, ...]] = []
    participants: list[tuple[Any, ...]] = []
    for place, parent in enumerate(forest.parents):
        grand = forest.parents[parent] if parent >= 0 else -1
        paths.append((paths[parent] if parent >= 0 else "") + rules.segment(first_number + place))
        depths.append(depths[parent] + 1 if parent >= 0 else 0)
        member_id = UUID(int=first_member + place)
        members.append((merchant_id, member_id, "小明", now))
        participants.append(
            (
                *(merchant_id, _uuid(forest, place), campaign_id, member_id, _code(place), first_number + place),
                *(_uuid(forest, parent), _uuid(forest, grand), depths[place], paths[place], now),
            )
        )
        if len(participants) == BATCH:
            yield members, participants
            members, participants = [], []
    if participants:
        yield members, participants


def _code(place: int) -> str:
    """As if drawn by lot, but each only once: a million drawn ones meet now and then."""
    number = place * 2_654_435_761 % len(INVITE_ALPHABET) ** INVITE_LENGTH
    letters = []
    for _ in range(INVITE_LENGTH):
        number, letter = divmod(number, len(INVITE_ALPHABET))
        letters.append(INVITE_ALPHABET[letter])
    return "".join(letters)


def _uuid(forest: Forest, place: int) -> UUID | None:
    return UUID(int=forest.first_id + place) if place >= 0 else None
