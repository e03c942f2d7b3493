"""Which version of its poster templates a campaign shows, once it is published."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE campaigns ADD COLUMN poster_template_versions JSONB DEFAULT '{}' NOT NULL")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE campaigns DROP COLUMN poster_template_versions")
