"""`invitree doctor` finds what the promises cannot be kept with."""

from __future__ import annotations

import dataclasses

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app import embedded
from app.cli import doctor
from app.db.engine import create_engine
from app.resources import Resources


async def test_a_sound_installation_has_no_faults_but_the_tests_own(resources: Resources) -> None:
    findings = await doctor.examine(resources)
    # The tests' Valkey writes nothing, which doctor must notice.
    assert [finding.check for finding in findings if not finding.ok] == ["Redis keeps an append-only file"]


async def test_serving_as_the_owner_is_a_fault(stack: embedded.Stack) -> None:
    engine = create_engine(stack.owner_url)
    finding = await doctor.check_role("app", engine)
    await engine.dispose()
    assert not finding.ok
    assert "owns" in finding.found


async def test_a_store_that_is_away_is_a_finding_of_its_own(resources: Resources) -> None:
    async with Redis(unix_socket_path="/nowhere/redis.sock", retry=Retry(NoBackoff(), 0)) as away:
        findings = await doctor.examine(dataclasses.replace(resources, redis=away))
    assert [finding.check for finding in findings if not finding.ok] == ["redis"]
