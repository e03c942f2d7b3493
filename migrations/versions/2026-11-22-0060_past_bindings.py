"""Bindings that were replaced, for orders that were paid while they held."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCRIPT = Path(__file__).parent.parent / "sql" / "past_bindings" / "up.sql"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    connection: Any = op.get_bind().connection
    connection.dbapi_connection.await_(connection.driver_connection.execute(SCRIPT.read_text("utf-8")))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TABLE past_bindings")
