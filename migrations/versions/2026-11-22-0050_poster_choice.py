"""Posters: versions of templates that stay, and the one a participant picked."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCRIPT = Path(__file__).parent.parent / "sql" / "poster_choice" / "up.sql"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    connection: Any = op.get_bind().connection
    connection.dbapi_connection.await_(connection.driver_connection.execute(SCRIPT.read_text("utf-8")))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE participants DROP COLUMN poster_template_id")
    op.execute("DROP TABLE poster_template_versions")
