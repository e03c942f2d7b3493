"""`invitree doctor`: can this installation work, and are its roles and stores what the promises need?"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from alembic.script import ScriptDirectory
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.cli import environment
from app.cli.migrate import alembic_config
from app.cli.output import Exit, show_json, show_table
from app.db import roles
from app.db.redis import master_of, masters
from app.kit import clock
from app.kit.errors import InvitreeError
from app.poster import BUILTIN, SAMPLE, read_back
from app.poster.faces import SHAPED
from app.resources import Resources
from app.tracking import clearing, shards
from app.tracking.keys import Keys

CLOCK_TOLERANCE_SECONDS = 5.0
PATIENCE_SECONDS = 30.0
FAULTS = (SQLAlchemyError, RedisError, InvitreeError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    ok: bool
    found: str


Check = Callable[[Resources], Awaitable[list[Finding]]]


async def check_roles(resources: Resources) -> list[Finding]:
    engines = {"app": resources.db.app_engine, "system": resources.db.system_engine}
    return [await check_role(name, engine) for name, engine in engines.items()]


async def check_role(name: str, engine: AsyncEngine) -> Finding:
    role, faults = await roles.faults_of(engine)
    return Finding(f"database role {name}", not faults, ", ".join([role, *faults]))


async def check_version(resources: Resources) -> list[Finding]:
    async with resources.db.app_engine.connect() as connection:
        number = int(await connection.scalar(text("SHOW server_version_num")))
        commit = await connection.scalar(text("SHOW synchronous_commit"))
        allowed = int(await connection.scalar(text("SHOW max_connections")))
    most = resources.db.most_connections
    return [
        Finding("PostgreSQL 15 or newer", number >= 150_000, str(number)),
        Finding("connections suffice for a process", most <= allowed, f"{most} at the most, of {allowed} for all"),
        Finding("commits are durable", commit != "off", f"synchronous_commit = {commit}"),
    ]


async def check_schema(resources: Resources) -> list[Finding]:
    head = ScriptDirectory.from_config(alembic_config("")).get_current_head()
    async with resources.db.system_engine.connect() as connection:
        found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    return [Finding("schema at its newest version", found == head, f"{found} (newest: {head})")]


async def check_shards(resources: Resources) -> list[Finding]:
    own = resources.settings.track_shards
    async with resources.db.system() as session:
        found = await shards.stored(session)
    told = f"TRACK_SHARDS={own}, in the database {found or 'none yet'}"
    return [Finding("number of shards agrees with the database's", found in (own, None), told)]


async def check_clock(resources: Resources) -> list[Finding]:
    before = clock.utcnow()
    async with resources.db.app_engine.connect() as connection:
        there = await connection.scalar(text("SELECT clock_timestamp()"))
    apart = abs((there - before).total_seconds())
    return [Finding("clock agrees with the database's", apart < CLOCK_TOLERANCE_SECONDS, f"{apart:.2f} s apart")]


async def check_redis(resources: Resources) -> list[Finding]:
    """Every master of a cluster, each named by its address."""
    servers = await masters(resources.redis)
    findings = [finding for address, server in servers.items() for finding in await check_server(address, server)]
    findings.append(await check_strays(resources))
    return findings if "" in servers else [*findings, await check_spread(resources, list(servers))]


async def check_strays(resources: Resources) -> Finding:
    """What a process of another number of shards has counted."""
    batches = await clearing.waiting(resources.redis)
    strays = {shard: number for shard, number in batches.items() if shard >= resources.settings.track_shards}
    found = (
        f"{sum(strays.values())} batches in shards {sorted(strays)}: `invitree counters shards`" if strays else "none"
    )
    return Finding("no clicks wait in shards that nobody drains", not strays, found)


async def check_server(address: str, redis: Redis) -> list[Finding]:
    server: dict[str, Any] = await redis.info("server")
    persistence: dict[str, Any] = await redis.info("persistence")
    memory: dict[str, Any] = await redis.info("memory")
    version, policy = str(server["redis_version"]), str(memory["maxmemory_policy"])
    where = f" ({address})" if address else ""
    return [
        Finding(f"Redis 7 or newer{where}", int(version.split(".", maxsplit=1)[0]) >= 7, version),
        Finding(f"Redis keeps an append-only file{where}", bool(persistence["aof_enabled"]), _aof(persistence)),
        Finding(f"Redis evicts nothing{where}", policy == "noeviction", f"maxmemory-policy {policy}"),
    ]


def _aof(persistence: dict[str, Any]) -> str:
    return f"appendonly {'yes' if persistence['aof_enabled'] else 'no'}"


async def check_spread(resources: Resources, addresses: list[str]) -> Finding:
    """Where the shards are: a master without one takes no clicks."""
    cluster, own = resources.redis, range(resources.settings.track_shards)
    counts = dict.fromkeys(addresses, 0) | Counter([await master_of(cluster, Keys(shard).stream) for shard in own])
    found = ", ".join(f"{address}: {count}" for address, count in counts.items())
    return Finding(f"TRACK_SHARDS={len(own)} are spread over the masters (not required)", True, found)


async def check_posters(resources: Resources) -> list[Finding]:
    """Without shaping a poster still comes, with joined emoji and right-to-left scripts in their simple forms."""
    picture = await resources.renderer.render(BUILTIN["distribution"], SAMPLE)
    drawn = read_back(picture) == [SAMPLE.invite_url]
    shaping = "yes" if SHAPED else "no: install libfribidi0 (Debian's name) for joined emoji and right-to-left scripts"
    return [
        Finding("posters are drawn and read back", drawn, f"{len(picture) // 1000} kB"),
        Finding("posters' text is shaped (not required)", True, shaping),
    ]


CHECKS: dict[str, Check] = {
    "database": check_version,
    "database roles": check_roles,
    "schema": check_schema,
    "shards": check_shards,
    "clock": check_clock,
    "redis": check_redis,
    "posters": check_posters,
}


async def examine(resources: Resources) -> list[Finding]:
    return [finding for name, check in CHECKS.items() for finding in await attempt(name, check, resources)]


async def attempt(name: str, check: Check, resources: Resources) -> list[Finding]:
    """A check that cannot be made is a finding, too."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await check(resources)
    except FAULTS as error:
        return [Finding(name, False, f"{type(error).__name__}: {str(error).splitlines()[0]}")]


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder of the embedded servers.")] = None,
) -> None:
    """Examine the installation; exit code 1 when something is not as it must be."""
    findings = environment.run(examine, data)
    if as_json:
        show_json([asdict(finding) for finding in findings])
    else:
        rows = [("ok" if finding.ok else "FAULT", finding.check, finding.found) for finding in findings]
        show_table("invitree doctor", ["", "check", "found"], rows)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(Exit.FAILED)
