"""What a campaign's budget is held against, and whose friend bought."""

from alembic import op

from app.db.scripts import run_script

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("commission_terms")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE orders DROP COLUMN inviter_id")
    op.execute("ALTER TABLE campaigns DROP COLUMN commission_minor")
