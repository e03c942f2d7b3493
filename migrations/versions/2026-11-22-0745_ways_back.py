"""Money that goes back without an order, by the account that took it, and what two people decide where it does not."""

from app.db.scripts import run_script

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("ways_back")


def downgrade() -> None:
    run_script("ways_back", "down")
