"""Avatars: fetched from addresses, shown where the campaign wants them."""

from alembic import op

from app.db.scripts import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("avatars")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TABLE avatar_fetches")
    op.execute("ALTER TABLE campaigns DROP COLUMN poster_avatars")
