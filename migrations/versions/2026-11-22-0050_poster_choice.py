"""Posters: versions of templates that stay, and the one a participant picked."""

from alembic import op

from app.db.scripts import run_script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script("poster_choice")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE participants DROP COLUMN poster_template_id")
    op.execute("DROP TABLE poster_template_versions")
