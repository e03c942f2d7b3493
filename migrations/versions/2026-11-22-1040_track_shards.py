"""The number of shards, kept where every process that starts finds it."""

from app.db.scripts import run_script

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("track_shards")


def downgrade() -> None:
    run_script("track_shards", "down")
