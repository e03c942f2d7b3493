"""Each awaited step between a click and its row: the process dies there, or the call fails there."""

from __future__ import annotations

import functools
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.tracking import pieces
from proofs.sabotage import named
from proofs.sabotage.seams import Action, around, commit, die, fail, replace, statement

RECORD = "app.tracking.live:record"
ROWS = r"(INSERT INTO|COPY) .*tracked_events"
lost = fail(lambda: RedisConnectionError("the connection broke (planted)"))
late = fail(lambda: RedisTimeoutError("no answer in time (planted)"))
broken = fail(lambda: OSError("the connection broke (planted)"))

# By the program that they are put into.
API = (
    *("batch-before-script", "batch-after-script", "batch-script-unanswered", "batch-script-late", "batch-not-sent"),
    *("batch-before-answer", "fallback-before-statement", "fallback-after-statement", "fallback-unanswered"),
)
WORKER = (
    *("drain-after-read", "drain-before-rows", "drain-after-rows", "drain-before-rollups", "drain-before-position"),
    *("drain-before-commit", "drain-commit-unanswered", "drain-before-trim", "drain-trim-unanswered"),
    *("drain-after-trim", "repair-before-participants", "repair-with-visitors-staged", "repair-after-participants"),
    *("repair-before-campaign", "repair-script-unanswered", "repair-before-finish"),
)


def _has_hits(_redis: Any, batch: Any) -> bool:
    """A probe of the breaker carries none."""
    return len(batch.keys) > 4


named("batch-before-script")(lambda: around(RECORD, before=die, given=_has_hits))
named("batch-after-script")(lambda: around(RECORD, after=die, given=_has_hits))
named("batch-script-unanswered")(lambda: around(RECORD, after=lost, given=_has_hits))
named("batch-script-late")(lambda: around(RECORD, after=late, given=_has_hits))
named("batch-not-sent")(lambda: around(RECORD, before=late, given=_has_hits))
named("batch-before-answer")(lambda: around("app.tracking.recorder:Recorder.record", after=die))


def _without_redis() -> None:
    def wrap(_original: Any) -> Any:
        @functools.wraps(_original)
        async def refuse(*_: Any) -> None:
            raise RedisConnectionError("refused (planted)")

        return refuse

    replace(RECORD, wrap)


@named("fallback-before-statement")
def _() -> None:
    _without_redis()
    statement(ROWS, before=die, skip=1)


@named("fallback-after-statement")
def _() -> None:
    _without_redis()
    statement(ROWS, after=die, skip=1)


@named("fallback-unanswered")
def _() -> None:
    _without_redis()
    statement(ROWS, after=broken, skip=1)


@named("always-copy")
def _() -> None:
    """No failpoint: also the few events of a proof go the way of many."""
    pieces.LEAST_COPIED = 1


TRIM = "app.tracking.stream:trim"
POSITION = "app.tracking.positions:save"
named("drain-after-read")(
    lambda: around("app.tracking.stream:read", after=die, skip=0, result=lambda window: bool(window.entries))
)
named("drain-before-rows")(lambda: statement(ROWS, before=die, skip=0))
named("drain-after-rows")(lambda: statement(ROWS, after=die, skip=0))
named("drain-before-rollups")(lambda: statement("(INSERT|MERGE) INTO participant_totals", before=die, skip=0))
named("drain-before-position")(lambda: around(POSITION, before=die, skip=0))
named("drain-before-commit")(lambda: commit(POSITION, before=die, skip=0))
named("drain-commit-unanswered")(lambda: commit(POSITION, after=broken, skip=0))


def _at_trim(*, before: Action | None = None, after: Action | None = None) -> None:
    """At the first one behind a piece that was drained: an idle worker trims, too."""
    drained: list[bool] = []
    around(POSITION, after=lambda: drained.append(True), skip=0)
    around(TRIM, given=lambda *_, **__: bool(drained), skip=0, before=before, after=after)


named("drain-before-trim")(lambda: _at_trim(before=die))
named("drain-trim-unanswered")(lambda: _at_trim(after=lost))
named("drain-after-trim")(lambda: _at_trim(after=die))

PARTICIPANTS = "app.tracking.repair:participants"
CAMPAIGN = "app.tracking.repair:campaign"
named("repair-before-participants")(lambda: around(PARTICIPANTS, before=die, skip=0))
named("repair-with-visitors-staged")(lambda: around("app.tracking.repair:_stage_visitors", after=die, skip=0))
named("repair-after-participants")(lambda: around(PARTICIPANTS, after=die, skip=0))
named("repair-before-campaign")(lambda: around(CAMPAIGN, before=die, skip=0))
named("repair-script-unanswered")(lambda: around("app.tracking.lua:Script.run", after=lost, skip=0))
named("repair-before-finish")(lambda: around("app.tracking.repair:finish", before=die, skip=0))
