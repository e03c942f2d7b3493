"""Bindings that were replaced, for orders that were paid while they held."""

from alembic import op

from app.db.scripts import run_script

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("past_bindings")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TABLE past_bindings")
