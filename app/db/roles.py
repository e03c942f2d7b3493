"""What the runtime's roles must not be, asked at every start: else row-level security would bind nobody."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.session import Database

_ROLE = text(
    "SELECT current_user AS name, rolsuper, rolbypassrls, (SELECT count(*) FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace AND pg_has_role(current_user, relowner, 'member')) AS owned "
    "FROM pg_roles WHERE rolname = current_user"
)


class UnboundRoleError(Exception):
    """A role that the policies do not bind."""


async def faults_of(engine: AsyncEngine) -> tuple[str, list[str]]:
    """The role's name, and what is wrong with it."""
    async with engine.connect() as connection:
        row = (await connection.execute(_ROLE)).one()
    faults = [word for bad, word in ((row.rolsuper, "superuser"), (row.rolbypassrls, "bypasses RLS")) if bad]
    if row.owned:
        faults.append(f"owns {row.owned} relations")
    return row.name, faults


async def require_bound(db: Database) -> bool:
    """UnboundRoleError where one of the two is not. False with the database away: nothing can be asked, nor leak."""
    all_asked = True
    for variable, engine in (("DATABASE_URL", db.app_engine), ("DATABASE_SYSTEM_URL", db.system_engine)):
        try:
            name, faults = await faults_of(engine)
        except (DBAPIError, OSError):
            all_asked = False
            continue
        if faults:
            raise UnboundRoleError(f"{variable}: the role {name} is not bound by the policies: {', '.join(faults)}.")
    return all_asked
