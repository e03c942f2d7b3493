"""Tracked events, and a Valkey of the tests' own that they may stop, pause and wipe."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import UUID

from sqlalchemy import text
from uuid_utils.compat import uuid7

from app.cli.counters import Report, compare_campaign
from app.embedded import valkey
from app.embedded.account import find_account
from app.embedded.server import open_home
from app.embedded.supervisor import Program
from app.kit import clock, ids
from app.models import Campaign, Participant
from app.resources import Resources
from app.tracking import rows, verify_rollups
from app.tracking.hits import Hit, Target, micros
from app.tracking.queries import target
from app.tracking.verify import Difference
from app.worker import counters
from app.worker import tracking as worker
from tests.factories.campaigns import make_campaign, make_participant
from tests.factories.servers import redis_server

EVENTS = text("SELECT type, outcome, count(*) FROM tracked_events WHERE campaign_id = :campaign GROUP BY type, outcome")
WECHAT = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) MicroMessenger/8.0.47 NetType/WIFI Language/zh_CN"
PATIENCE = 5.0


@dataclass(slots=True)
class OwnValkey:
    """One server that only these tests use."""

    url: str
    program: Program
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = self.program.spawn()
        deadline = time.monotonic() + PATIENCE
        while not self.program.is_ready(self.process.pid):
            assert time.monotonic() < deadline, self.program.explain()
            time.sleep(0.01)

    def stop(self) -> None:
        self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(PATIENCE)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What is kept in memory only is lost: all of it, unless the server is durable."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Takes connections and commands, and answers none."""
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def send(self, sign: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, sign)


@contextmanager
def own_valkey(*, durable: bool = False) -> Iterator[OwnValkey]:
    account = find_account()
    # Short, because a socket's path has at most 107 bytes; reachable for the servers' user.
    folder = Path(mkdtemp(prefix="ivt-trk-", dir="/tmp"))
    account.own(folder)
    home = open_home(account, folder / "valkey")
    program = valkey.make_program(account, redis_server(), home, folder, durable=durable)
    server = OwnValkey(f"unix://{folder / valkey.SOCKET}", program)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        home.close()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Link:
    """A participant's link in a campaign of its own."""

    merchant_id: str
    campaign_id: str
    participant_id: str
    code: str

    @property
    def target(self) -> Target:
        return target(self.merchant_id, self.campaign_id, self.participant_id)

    @property
    def path(self) -> str:
        return f"/i/{self.code}"


async def make_link(resources: Resources, merchant_id: str, **campaign_values: Any) -> Link:
    """In a campaign that has run for a while, unless another beginning is given."""
    begun = {"starts_at": clock.utcnow() - timedelta(days=30)}
    async with resources.db.tenant(merchant_id) as session:
        campaign = await make_campaign(session, merchant_id, **begun | campaign_values)
        return link_of(campaign, await make_participant(session, campaign))


def link_of(campaign: Campaign, participant: Participant) -> Link:
    return Link(campaign.merchant_id, campaign.id, participant.id, participant.invite_code)


def make_hit(link: Link, *, at: datetime | None = None, **values: Any) -> Hit:
    now = micros(at or clock.utcnow())
    given: dict[str, Any] = {
        "id": uuid7(),
        "target": link.target,
        "kind": "click",
        "outcome": "human",
        "channel": "direct",
        "occurred_us": now,
        "received_us": now,
    }
    return Hit(**(given | values))


def event_uuid(event_id: str) -> UUID:
    return ids.decode("evt", event_id)


async def stored(resources: Resources, link: Link) -> dict[str, int]:
    """Rows of a campaign by their counter, and what the rollups sum up to; the two must agree."""
    given = {"campaign": link.target.campaign_id}
    async with resources.db.system() as session:
        events = await session.execute(EVENTS, given)
        by_counter = {f"{type_}s" if outcome == "human" else f"{outcome}_hits": n for type_, outcome, n in events}
        merchant_id, campaign_id = link.target.merchant_id, link.target.campaign_id
        counts, hours = await rows.of_campaign(session, merchant_id, campaign_id)
        assert not await verify_rollups.rollups(session, [campaign_id])
    assert sum(hours.values()) == sum(by_counter.values())
    return {name: number for name, number in counts.items() if number}


async def differences(resources: Resources, link: Link) -> list[Difference]:
    """Between the live counters of the link's campaign, the rollups and the rows."""
    report = Report()
    await compare_campaign(resources, link.target.merchant_id, link.target.campaign_id, report)
    async with resources.db.system() as session:
        return report.differences + await verify_rollups.rollups(session, [link.target.campaign_id])


async def drain_all(resources: Resources) -> int:
    found = 0
    while piece := await worker.drain_streams(resources):
        found += piece
    return found


async def put_away(resources: Resources) -> None:
    """What earlier tests left: a wipe of Redis would have it all rebuilt."""
    async with resources.db.system() as session:
        for statement in (
            "UPDATE campaigns SET status = 'draft'",
            "DELETE FROM counter_repairs",
            "DELETE FROM participant_totals",
            "DELETE FROM participant_visitors",
        ):
            await session.execute(text(statement))


async def settle(resources: Resources) -> None:
    """Until nothing waits in a stream and no repair is owed."""
    while await drain_all(resources) + await counters.repair_counters(resources):
        pass
