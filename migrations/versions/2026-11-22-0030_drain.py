"""The drain: leases, entries set aside, and the end of old partitions."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCRIPT = Path(__file__).parent.parent / "sql" / "drain" / "up.sql"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    connection: Any = op.get_bind().connection
    connection.dbapi_connection.await_(connection.driver_connection.execute(SCRIPT.read_text("utf-8")))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP FUNCTION drop_event_partition(date)")
    op.execute("ALTER TABLE participant_totals RESET (fillfactor)")
    op.execute("DROP TABLE set_aside_entries, stream_leases")
