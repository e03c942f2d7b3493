"""Which of a member's payee accounts was saved last: that one is paid."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE payee_accounts ADD COLUMN chosen_at TIMESTAMPTZ DEFAULT now() NOT NULL")
    op.execute("UPDATE payee_accounts SET chosen_at = created_at")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE payee_accounts DROP COLUMN chosen_at")
