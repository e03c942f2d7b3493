"""Claims of a payout are counted for as long as its provider does not settle it: years, at one an hour."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE payouts ALTER COLUMN attempts TYPE INTEGER")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE payouts ALTER COLUMN attempts TYPE SMALLINT USING LEAST(attempts, 32767)::SMALLINT")
