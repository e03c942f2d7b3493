"""The second wall: what the runtime's database roles are, and what the policies let them see."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app import embedded
from app.db.roles import UnboundRoleError
from app.kit import ids
from app.main import create_app
from app.models import Base
from app.resources import Resources
from app.settings import get_settings
from tests.factories import MerchantFixture, make_merchant
from tests.factories.world import make_world

# Raw events and their keys are the system role's alone, under no policy, because COPY is refused under one.
SYSTEM_ONLY = {"tracked_events", "event_keys", "stream_positions", "stream_leases", "set_aside_entries", "shard_counts"}
OPEN = {"plans"}
TENANT_TABLES = sorted({table.name for table in Base.metadata.sorted_tables} - SYSTEM_ONLY - OPEN)
APPEND_ONLY = (
    "ledger_entries",
    "ledger_transactions",
    "membership_grants",
    "audit_entries",
    "campaign_rules",
    "poster_template_versions",
)


def engines(resources: Resources) -> dict[str, AsyncEngine]:
    return {"app": resources.db.app_engine, "system": resources.db.system_engine}


async def rows(engine: AsyncEngine, statement: str) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(text(statement))).all())


@pytest.mark.parametrize("role", ["app", "system"])
async def test_a_runtime_role_owns_nothing_and_bypasses_nothing(resources: Resources, role: str) -> None:
    engine = engines(resources)[role]
    (flags,) = await rows(
        engine,
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles"
        " WHERE rolname = current_user",
    )
    assert not any(flags)
    for owned in (
        "SELECT relname FROM pg_class WHERE pg_has_role(current_user, relowner, 'member')",
        "SELECT proname FROM pg_proc WHERE pg_has_role(current_user, proowner, 'member')",
        "SELECT nspname FROM pg_namespace WHERE pg_has_role(current_user, nspowner, 'member')",
        "SELECT datname FROM pg_database WHERE pg_has_role(current_user, datdba, 'member')",
        "SELECT rolname FROM pg_roles WHERE rolname <> current_user AND pg_has_role(current_user, oid, 'member')",
    ):
        assert await rows(engine, owned) == []


@pytest.mark.parametrize("variable", ["database_url", "database_system_url"])
async def test_nothing_is_served_as_the_owner(stack: embedded.Stack, variable: str) -> None:
    """Whom no policy binds."""
    application = create_app(get_settings().model_copy(update={variable: stack.owner_url}))
    with pytest.raises(UnboundRoleError, match=f"{variable.upper()}: the role invitree_owner .* owns"):
        async with application.router.lifespan_context(application):
            pytest.fail("it started")


@pytest.mark.parametrize("role", ["app", "system"])
@pytest.mark.parametrize(
    "forbidden",
    [
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "ALTER TABLE merchants DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON campaigns",
        "DROP TABLE plans",
        "TRUNCATE campaigns",
        "UPDATE plans SET platform_fee_bps = 0",
        "SET ROLE invitree_owner",
        "SET session_replication_role = replica",
        "COPY campaigns TO PROGRAM 'true'",
    ],
)
async def test_a_runtime_role_cannot_change_what_binds_it(resources: Resources, role: str, forbidden: str) -> None:
    async with engines(resources)[role].connect() as connection:
        with pytest.raises(DBAPIError, match="InsufficientPrivilegeError"):
            await connection.execute(text(forbidden))


@pytest.mark.parametrize("role", ["app", "system"])
@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("verb", ["UPDATE {} SET merchant_id = merchant_id", "DELETE FROM {}"])
async def test_facts_are_only_added(resources: Resources, role: str, table: str, verb: str) -> None:
    async with engines(resources)[role].connect() as connection:
        with pytest.raises(DBAPIError, match="permission denied"):
            await connection.execute(text(verb.format(table)))


@pytest.mark.parametrize("role", ["app", "system"])
async def test_no_function_of_the_owner_can_be_hung_on_a_table_of_a_roles_own(resources: Resources, role: str) -> None:
    """It would act as owner, past every policy: on the balances of any merchant."""
    triggers = await rows(
        engines(resources)[role],
        "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " AND prorettype = 'trigger'::regtype AND has_function_privilege(oid, 'EXECUTE')",
    )
    assert triggers == []
    async with engines(resources)[role].connect() as connection:
        await connection.execute(text("CREATE TEMPORARY TABLE mine (LIKE ledger_entries)"))
        with pytest.raises(DBAPIError, match="permission denied for function"):
            await connection.execute(
                text(
                    "CREATE TRIGGER mine AFTER INSERT ON mine REFERENCING NEW TABLE AS added"
                    " FOR EACH STATEMENT EXECUTE FUNCTION ledger_entries_added()"
                )
            )


@pytest.mark.parametrize("column", ["plan = 'paid'", "verified_at = now()", "is_house = true", "livemode = true"])
async def test_the_app_role_cannot_change_what_a_merchant_is(resources: Resources, column: str) -> None:
    async with resources.db.app_engine.connect() as connection:
        with pytest.raises(DBAPIError, match="permission denied"):
            await connection.execute(text(f"UPDATE merchants SET {column}"))


async def test_every_tenant_table_has_its_policies(resources: Resources) -> None:
    secured = await rows(
        resources.db.system_engine,
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relrowsecurity",
    )
    policies = await rows(
        resources.db.system_engine,
        "SELECT tablename, policyname, roles::text, cmd, permissive, qual, coalesce(with_check, '-') FROM pg_policies",
    )
    assert sorted(name for (name,) in secured) == TENANT_TABLES
    by_table: dict[str, dict[str, Any]] = {}
    for table, policy, *rest in policies:
        by_table.setdefault(table, {})[policy] = rest
    assert sorted(by_table) == TENANT_TABLES
    for table, found in by_table.items():
        column = "id" if table == "merchants" else "merchant_id"
        mine = f"({column} = (NULLIF(current_setting('invitree.merchant_id'::text, true), ''::text))::uuid)"
        assert found["system"] == ["{invitree_system}", "ALL", "PERMISSIVE", "true", "-"], table
        assert found["tenant"] == ["{invitree_app}", "ALL", "PERMISSIVE", mine, "-"], table
        assert len(found) == 2, table


async def test_every_table_with_a_merchant_leads_its_key_with_it(resources: Resources) -> None:
    for table in Base.metadata.sorted_tables:
        if "merchant_id" in table.c and table.name != "tracked_events":
            assert next(iter(table.primary_key.columns)).name == "merchant_id", table.name


async def test_the_app_role_may_not_read_what_is_the_systems(resources: Resources) -> None:
    for table in SYSTEM_ONLY:
        async with resources.db.app_engine.connect() as connection:
            with pytest.raises(DBAPIError, match="permission denied"):
                await connection.execute(text(f"SELECT 1 FROM {table}"))


@pytest.mark.parametrize("tenant", ["none", "another's"])
async def test_under_no_tenant_or_another_nothing_of_this_one_is_seen_or_touched(
    resources: Resources, merchant: MerchantFixture, tenant: str
) -> None:
    world = await make_world(resources, merchant)
    other = (await make_merchant(resources)).test_id if tenant == "another's" else None
    own = {"own": str(ids.decode("mch", merchant.test_id))}
    async with resources.db.app_engine.connect() as connection:
        if other is not None:
            setting = {"id": str(ids.decode("mch", other))}
            await connection.execute(text("SELECT set_config('invitree.merchant_id', :id, true)"), setting)
        for table in TENANT_TABLES:
            column = "id" if table == "merchants" else "merchant_id"
            statement = text(f"SELECT count(*) FROM {table} WHERE {column} = :own")
            assert await connection.scalar(statement, own) == 0, table
        touched = await connection.execute(text("UPDATE campaigns SET name = 'taken' WHERE merchant_id = :own"), own)
        assert touched.rowcount == 0
        with pytest.raises(DBAPIError, match="row-level security"):
            await connection.execute(
                text("INSERT INTO merchant_users (merchant_id, id, name, role) VALUES (:own, :own, 'x', 'owner')"), own
            )
    assert world["cmp"]


async def test_a_tenants_setting_ends_with_its_transaction(resources: Resources, merchant: MerchantFixture) -> None:
    """Else the next request on the same connection would be this merchant's."""
    async with resources.db.app_engine.connect() as connection:
        async with connection.begin():
            setting = {"id": str(ids.decode("mch", merchant.test_id))}
            await connection.execute(text("SELECT set_config('invitree.merchant_id', :id, true)"), setting)
            assert await connection.scalar(text("SELECT count(*) FROM merchants")) == 1
        assert await connection.scalar(text("SELECT count(*) FROM merchants")) == 0
