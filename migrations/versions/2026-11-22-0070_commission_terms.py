"""What a campaign's budget is held against, and whose friend bought."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SCRIPT = Path(__file__).parent.parent / "sql" / "commission_terms" / "up.sql"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    connection: Any = op.get_bind().connection
    connection.dbapi_connection.await_(connection.driver_connection.execute(SCRIPT.read_text("utf-8")))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE orders DROP COLUMN inviter_id")
    op.execute("ALTER TABLE campaigns DROP COLUMN commission_minor")
