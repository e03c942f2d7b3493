"""The drain: leases, entries set aside, and the end of old partitions."""

from alembic import op

from app.db.scripts import run_script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("drain")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP FUNCTION drop_event_partition(date)")
    op.execute("ALTER TABLE participant_totals RESET (fillfactor)")
    op.execute("DROP TABLE set_aside_entries, stream_leases")
