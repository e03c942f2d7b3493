"""Every operation with another tenant's key and real ids, over HTTP; and what the database's roles may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.cli.output import progress
from app.kit import ids
from app.models import Base
from proofs.frame.command import Entry
from proofs.frame.report import Finding
from proofs.frame.server import Server, serve
from proofs.frame.stage import Stage
from proofs.frame.worlds import World, make_full_world
from tests.api.probes import Gaps, Probe, probes
from tests.api.test_tenants import content_of, hidden, last_what_destroys, send, told, unknown
from tests.factories import MerchantFixture, make_merchant

PATIENCE = 600
FLAGS = "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication FROM pg_roles"
OWNED = (
    "SELECT relname FROM pg_class WHERE pg_has_role(current_user, relowner, 'member')",
    "SELECT proname FROM pg_proc WHERE pg_has_role(current_user, proowner, 'member')",
    "SELECT nspname FROM pg_namespace WHERE pg_has_role(current_user, nspowner, 'member')",
    "SELECT rolname FROM pg_roles WHERE rolname <> current_user AND pg_has_role(current_user, oid, 'member')",
)
HOSTILE = (
    "SET ROLE invitree_owner",
    "SET session_replication_role = replica",
    "ALTER TABLE merchants DISABLE ROW LEVEL SECURITY",
    "DROP POLICY tenant ON campaigns",
    "CREATE POLICY mine ON campaigns USING (true)",
    "CREATE TABLE mine (id int)",
    "TRUNCATE campaigns",
    "DELETE FROM ledger_entries",
    "UPDATE ledger_entries SET amount_minor = 0",
    "UPDATE plans SET platform_fee_bps = 0",
)


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant, the key that opens it, and what it owns."""

    merchant_id: str
    key: str
    world: World


@dataclass(slots=True)
class Tally:
    """What was tried, and a line for each that went wrong."""

    requests: int = 0
    strangers: int = 0
    told_apart: list[str] = field(default_factory=list)
    broken_controls: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    excess: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        return [*self.told_apart, *self.broken_controls, *self.seen, *self.excess]


async def run(stage: Stage, quick: bool) -> Finding:  # noqa: ARG001 - it is quick
    tally = Tally()
    with serve(stage) as server:
        victim_merchant, other = await make_merchant(stage.resources), await make_merchant(stage.resources)
        victim = await _tenant(stage, server, victim_merchant, live=False)
        twin = await _tenant(stage, server, victim_merchant, live=True)
        stranger = await _tenant(stage, server, other, live=False)
        walk = await _read_probes(server)
        before = await content_of(stage.resources, [victim.merchant_id])
        with progress() as bar:
            task = bar.add_task("requests", total=3)
            for attacker in (stranger, twin):
                await attack(server, attacker, victim, walk, tally)
                bar.advance(task)
            after = await content_of(stage.resources, [victim.merchant_id])
            await control(server, victim, walk, tally)
            bar.advance(task)
        await look_from_inside(stage, victim, stranger, tally)
    changed = [table for table in before if before[table] != after[table]]
    found = {
        "operations": len({probe.operation for probe in walk}),
        "told apart": len(tally.told_apart),
        "own things not reached": len(tally.broken_controls),
        "tables changed": len(changed),
        "tables that show others' rows": len(tally.seen),
        "roles' excess": len(tally.excess),
    }
    expected = {name: value if name == "operations" else 0 for name, value in found.items()}
    least = len(walk)
    return Finding(expected, found, tally.requests, tally.strangers, least, least, [*tally.faults, *changed])


PROOF = Entry("tenants", run, seconds=PATIENCE, weight=17)


async def _tenant(stage: Stage, server: Server, merchant: MerchantFixture, *, live: bool) -> Tenant:
    merchant_id, key = (merchant.live_id, merchant.live_key) if live else (merchant.test_id, merchant.test_key)
    return Tenant(merchant_id, key, await make_full_world(stage, server, merchant, live=live))


async def _read_probes(server: Server) -> list[Probe]:
    async with httpx.AsyncClient(base_url=server.base_url, timeout=30, trust_env=False) as client:
        description = (await client.get("/openapi.json")).json()
    gaps = Gaps()
    walk = list(probes(description, gaps))
    if gaps.found:
        raise LookupError(f"operations without a probe in tests/api/probes.py: {gaps.found}")
    return walk


def _client(server: Server, tenant: Tenant) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {tenant.key}"}
    return httpx.AsyncClient(base_url=server.base_url, headers=headers, timeout=30, trust_env=False)


async def attack(server: Server, attacker: Tenant, victim: Tenant, walk: list[Probe], tally: Tally) -> None:
    """Each place first with an id that nobody has, then with the victim's: the answers must be the same."""
    async with _client(server, attacker) as client:
        for probe in walk:
            name = probe.place.removeprefix("$")
            if not name:
                continue
            nobodys, theirs = unknown(victim.world[name]), victim.world[name]
            expected = await send(client, probe, attacker.world, nobodys)
            found = await send(client, probe, attacker.world, theirs)
            tally.requests += 2
            tally.strangers += 1
            if told(expected, nobodys) != told(found, theirs) or not hidden(probe, found):
                tally.told_apart.append(f"{probe.name}: {expected.text[:200]} ≠ {found.text[:200]}")


async def control(server: Server, own: Tenant, walk: list[Probe], tally: Tally) -> None:
    """The same requests reach one's own: otherwise a wrong path would pass for a closed one."""
    async with _client(server, own) as client:
        for probe in sorted((probe for probe in walk if not probe.place), key=last_what_destroys):
            answer = await send(client, probe, own.world)
            tally.requests += 1
            if answer.status_code not in {200, 201, 202, 204, 409}:
                tally.broken_controls.append(f"{probe.name}: {answer.status_code} {answer.text[:200]}")


async def look_from_inside(stage: Stage, victim: Tenant, stranger: Tenant, tally: Tally) -> None:
    """As if the application had forgotten every condition: SQL as its role, in a stranger's transaction and in none."""
    db = stage.resources.db
    for table in Base.metadata.sorted_tables:
        if "merchant_id" not in table.columns:
            continue
        theirs = text(f"SELECT count(*) FROM {table.name} WHERE merchant_id = :victim")
        parameters = {"victim": ids.decode("mch", victim.merchant_id)}
        for merchant_id in (stranger.merchant_id, None):
            if await _scalar(db.app_engine, theirs, parameters, merchant_id):
                tally.seen.append(f"{table.name} shows another tenant's rows")
            tally.strangers += 1
    for name, engine in (("app", db.app_engine), ("system", db.system_engine)):
        tally.excess += [f"{name}: {fault}" for fault in await _excess(engine)]
        tally.strangers += len(HOSTILE)


async def _scalar(engine: Any, statement: Any, parameters: dict[str, Any], merchant_id: str | None) -> Any:
    """None where the role may not even ask."""
    async with engine.connect() as connection:
        if merchant_id:
            setting = text("SELECT set_config('invitree.merchant_id', :id, true)")
            await connection.execute(setting, {"id": str(ids.decode("mch", merchant_id))})
        try:
            return await connection.scalar(statement, parameters)
        except DBAPIError:
            return None


async def _excess(engine: Any) -> list[str]:
    found = []
    async with engine.connect() as connection:
        if await connection.scalar(text(f"{FLAGS} WHERE rolname = current_user")):
            found.append("has a flag that it must not have")
        for statement in OWNED:
            found += [f"owns {name}" for (name,) in await connection.execute(text(statement))]
    for statement in HOSTILE:
        found += [f"may: {statement}" async for _ in _allowed(engine, statement)]
    return found


async def _allowed(engine: Any, statement: str) -> Any:
    async with engine.connect() as connection:
        try:
            await connection.execute(text(statement))
        except DBAPIError:
            return
        yield statement
