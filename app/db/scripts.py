"""SQL of migrations: whole scripts, beside the migration that runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import op

FOLDER = Path(__file__).resolve().parents[2] / "migrations" / "sql"


def run_script(name: str, part: str = "up") -> None:
    """`migrations/sql/NAME/PART.sql`, many statements at once, which only the driver's own simple protocol takes.

    Waits at most 5 s for a lock: whoever is served meanwhile must not queue behind a migration.
    """
    op.execute("SET LOCAL lock_timeout = '5s'")
    connection: Any = op.get_bind().connection
    script = (FOLDER / name / f"{part}.sql").read_text("utf-8")
    connection.dbapi_connection.await_(connection.driver_connection.execute(script))
