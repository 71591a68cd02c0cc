"""What persons say of results."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "overrides",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("learner_id", sa.Text, sa.ForeignKey("learners.learner_id"), nullable=False),
        sa.Column("lab", sa.Text, nullable=False),
        sa.Column("points", sa.Text),
        sa.Column("possible", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )
