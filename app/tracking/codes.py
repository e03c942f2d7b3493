"""Invite codes and where they lead, remembered in the process.

Whose a code is never changes. What its campaign is changes seldom, is shared by all codes of the campaign, and is read
again when a change is announced; while no announcements can be heard, every few seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID

from app.kit import ids, logging
from app.kit.errors import Unavailable
from app.kit.patience import within
from app.tracking.hits import Target
from app.tracking.rules import Life, life_of

log = logging.get(__name__)
# While announcements are heard. Should a pooler swallow them unseen, this is how late a change is noticed.
LISTENING_SECONDS = 60.0
ALONE_SECONDS = 3.0
# What is past its time is shown for so long while it is read again.
OVERDUE_SECONDS = 3.0
# Short, because the guessed code may be made the next moment.
UNKNOWN_SECONDS = 1.0
ASK_SECONDS = 2.0
ASK_AGAIN_SECONDS = 1.0
MOST_CODES = 50_000
MOST_WAITING = 5_000
MOST_AT_ONCE = 1_000
NEVER = float("-inf")
EVERYBODY = "*"


class Miss(Enum):
    """Nothing at hand: ask."""

    MISS = "miss"


MISS: Final = Miss.MISS


@dataclass(frozen=True, slots=True)
class CampaignFacts:
    """What of a campaign its links hang on. `channels`: the names that it has by now; `life` follows from the dates."""

    merchant_id: str
    campaign_id: str
    status: str
    starts_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    clock_offset_seconds: int
    channels: frozenset[str] = frozenset()
    life: Life = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "life", life_of(self))


@dataclass(slots=True)
class KnownCampaign:
    """One campaign of all codes here that lead to it; its facts are replaced as they change."""

    facts: CampaignFacts
    read_at: float = NEVER
    codes: int = 0


@dataclass(frozen=True, slots=True)
class Destination:
    """A participant's link: whose it is and where it leads. What the campaign is, is asked anew by every read."""

    target: Target
    merchant_id: str
    campaign_id: str
    landing: str
    campaign: KnownCampaign

    @property
    def status(self) -> str:
        return self.campaign.facts.status

    @property
    def starts_at(self) -> datetime | None:
        return self.campaign.facts.starts_at

    @property
    def ends_at(self) -> datetime | None:
        return self.campaign.facts.ends_at

    @property
    def ended_at(self) -> datetime | None:
        return self.campaign.facts.ended_at

    @property
    def clock_offset_seconds(self) -> int:
        return self.campaign.facts.clock_offset_seconds


@dataclass(frozen=True, slots=True)
class Reply:
    """What the database knows: whose codes are, and the campaigns that were asked for or that codes belong to."""

    targets: dict[str, Target] = field(default_factory=dict)
    campaigns: dict[UUID, CampaignFacts] = field(default_factory=dict)


CampaignKey = tuple[UUID, UUID]  # merchant, campaign
Lookup = Callable[[Collection[str], Collection[CampaignKey]], Coroutine[Any, Any, Reply]]
# What was found, None where there is no such code, or why nobody could say.
Answer = Destination | Exception | None


class CodeCache:
    """Bounded; unknown codes are kept apart, so that guessing evicts nothing.

    One look-up is on its way at a time, for all who wait. While look-ups fail, what was known leads on.
    """

    def __init__(self, lookup: Lookup, *, clock: Callable[[], float] = time.monotonic, most: int = MOST_CODES) -> None:
        self._lookup, self._clock, self._most = lookup, clock, most
        self._good_for = ALONE_SECONDS
        self._known: dict[str, Destination] = {}
        self._campaigns: dict[UUID, KnownCampaign] = {}
        self._unknown: dict[str, float] = {}
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._asked: dict[str, asyncio.Future[Answer]] = {}
        self._overdue: set[UUID] = set()
        self._asking: asyncio.Task[None] | None = None
        self._announced: set[str] = set()
        self._fault: Exception | None = None
        self._ask_again_at = NEVER

    def get(self, code: str) -> Destination | Miss | None:
        """What is known at once, None where there is no such code; MISS where `find` has to ask."""
        destination, now = self._known.get(code), self._clock()
        if destination is None:
            return None if self._unknown.get(code, NEVER) > now else MISS
        age = now - destination.campaign.read_at
        if age < self._good_for:
            return destination
        if age < self._good_for + OVERDUE_SECONDS or self._fault is not None:
            if now >= self._ask_again_at:
                self._overdue.add(destination.target.campaign_id)
                self._wake()
            return destination
        return MISS

    async def find(self, code: str) -> Destination | None:
        """Unavailable, or the database's own error, where nothing is known of the code and nobody can be asked."""
        found = self.get(code)
        if found is not MISS:
            return found
        if (refusal := self._refusal(1)) is not None:
            raise refusal
        (answer,) = self._ask((code,))
        # Others may wait for the same answer: they must not be cancelled with this one.
        return _told(await asyncio.shield(answer))

    async def find_many(self, codes: Iterable[str]) -> dict[str, Answer]:
        """An answer for each: those at hand are told, too, where others cannot be asked for."""
        at_hand = {code: self.get(code) for code in codes}
        found: dict[str, Answer] = {code: known for code, known in at_hand.items() if known is not MISS}
        missing = [code for code in at_hand if code not in found]
        if not missing:
            return found
        if (refusal := self._refusal(len(missing))) is not None:
            return found | dict.fromkeys(missing, refusal)
        answers = self._ask(missing)
        await asyncio.wait(answers)
        return found | {code: answer.result() for code, answer in zip(missing, answers, strict=True)}

    def forget(self, subject_id: str) -> None:
        """Something changed about a campaign, or about a merchant and so about all of theirs."""
        if self._asking is not None and not self._asking.done():
            self._announced.add(subject_id)
        for known in self._of(subject_id):
            known.read_at = NEVER

    def listen(self, is_heard: bool) -> None:
        """Announcements are heard from now on, or not any more. What was said before is unknown."""
        if is_heard:
            self.forget(EVERYBODY)
        self._good_for = LISTENING_SECONDS if is_heard else ALONE_SECONDS

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        self._answer(self._waiting, ConnectionError("the process is ending"))

    def _of(self, subject_id: str) -> Iterable[KnownCampaign]:
        if subject_id.startswith("cmp_"):
            known = self._campaigns.get(ids.decode("cmp", subject_id))
            return [] if known is None else [known]
        every = self._campaigns.values()
        return [known for known in every if subject_id in (EVERYBODY, known.facts.merchant_id)]

    def _refusal(self, codes: int) -> Exception | None:
        """Why so many more cannot be asked for now."""
        if self._fault is not None and self._clock() < self._ask_again_at:
            # Without the frames of those who were told before: they would be held until it is over.
            return self._fault.with_traceback(None)
        if len(self._waiting) + len(self._asked) + codes > MOST_WAITING:
            return Unavailable("too_many_unknown_codes", "Too many codes are being looked up. Retry.", retry_after=1)
        return None

    def _ask(self, codes: Iterable[str]) -> list[asyncio.Future[Answer]]:
        # What is under way may have been read before the change that was announced since.
        under_way = {} if self._announced else self._asked
        loop = asyncio.get_running_loop()
        futures = [under_way.get(code) or self._waiting.setdefault(code, loop.create_future()) for code in codes]
        self._wake()
        return futures

    def _wake(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())

    async def _ask_all(self) -> None:
        while self._waiting or self._overdue:
            self._asked = {code: self._waiting.pop(code) for code in list(self._waiting)[:MOST_AT_ONCE]}
            overdue, self._overdue = self._overdue, set()
            try:
                await self._round(self._asked, overdue)
            finally:  # also where this task is cancelled: nobody may wait for an answer that does not come
                asked, self._asked = self._asked, {}
                self._answer(asked, ConnectionError("the look-up was given up"))

    async def _round(self, asked: dict[str, asyncio.Future[Answer]], overdue: set[UUID]) -> None:
        started = self._clock()
        new = [code for code in asked if code not in self._known]
        wanted = overdue | {self._known[code].target.campaign_id for code in asked if code in self._known}
        keys = [(_merchant(known), id_) for id_ in wanted if (known := self._stale(id_, started)) is not None]
        self._announced.clear()
        if not (new or keys):
            self._answer(asked, None)
            return
        try:
            reply = await within(ASK_SECONDS, self._lookup(new, keys))
        except Exception as error:
            if self._fault is None:
                log.exception("codes_not_looked_up", codes=len(new), campaigns=len(keys))
            # A process that had no connection free says nothing about the database: the next one asks at once.
            pause = NEVER if isinstance(error, Unavailable) else ASK_AGAIN_SECONDS
            self._fault, self._ask_again_at = error, self._clock() + pause
            self._answer(asked, error)
            return
        self._fault, self._ask_again_at = None, NEVER
        self._learn(reply, new, started)
        self._answer(asked, None)
        self._shrink()

    def _stale(self, campaign_id: UUID, now: float) -> KnownCampaign | None:
        """Unless the look-up before has just read it."""
        known = self._campaigns.get(campaign_id)
        return known if known is not None and now - known.read_at >= self._good_for else None

    def _learn(self, reply: Reply, asked: Collection[str], started: float) -> None:
        for campaign_id, facts in reply.campaigns.items():
            known = self._campaigns.get(campaign_id)
            if known is None:
                known = self._campaigns[campaign_id] = KnownCampaign(facts)
            known.facts = facts
            about = {EVERYBODY, facts.campaign_id, facts.merchant_id}
            # What was announced meanwhile may not be in it yet: good for those who waited, and for nobody after them.
            known.read_at = NEVER if about & self._announced else started
        for code in asked:
            self._unknown.pop(code, None)
            target = reply.targets.get(code)
            if target is None:
                self._unknown[code] = started + UNKNOWN_SECONDS
            else:
                self._known[code] = _destination(code, target, self._campaigns[target.campaign_id])

    def _answer(self, asked: dict[str, asyncio.Future[Answer]], fault: Exception | None) -> None:
        for code, future in asked.items():
            if not future.done():
                future.set_result(self._known.get(code, fault))

    def _shrink(self) -> None:
        """Oldest first: a dict keeps the order in which answers came."""
        while len(self._unknown) > self._most:
            del self._unknown[next(iter(self._unknown))]
        while len(self._known) > self._most:
            gone = self._known.pop(next(iter(self._known)))
            gone.campaign.codes -= 1
            if not gone.campaign.codes:
                del self._campaigns[gone.target.campaign_id]


def _told(answer: Answer) -> Destination | None:
    if isinstance(answer, Exception):
        raise answer.with_traceback(None)
    return answer


def _merchant(known: KnownCampaign) -> UUID:
    return ids.decode("mch", known.facts.merchant_id)


def _destination(code: str, target: Target, campaign: KnownCampaign) -> Destination:
    campaign.codes += 1
    campaign_id = campaign.facts.campaign_id
    return Destination(target, campaign.facts.merchant_id, campaign_id, f"/h5/c/{campaign_id}?code={code}", campaign)
