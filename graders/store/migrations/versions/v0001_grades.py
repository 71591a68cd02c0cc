"""Learners, what they handed in, and its grades."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "course",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )
    op.create_table(
        "learners",
        sa.Column("learner_id", sa.Text, primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("enrolled", sa.Boolean, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("section", sa.Text, nullable=False),
        sa.Column("granted", sa.Text, nullable=False),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("learner_id", sa.Text, sa.ForeignKey("learners.learner_id"), nullable=False),
        sa.Column("lab", sa.Text, nullable=False),
        sa.Column("submission", sa.Text, nullable=False),
        sa.Column("submitted_at", sa.Text, nullable=False),
        sa.Column("first_at", sa.Text, nullable=False),
        sa.Column("grade_id", sa.Integer),
        sa.UniqueConstraint("learner_id", "lab", "submission", "submitted_at", name="one_attempt"),
    )
    op.create_table(
        "grades",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("attempt_id", sa.Integer, sa.ForeignKey("attempts.id"), nullable=False, index=True),
        sa.Column("replaces", sa.Integer, sa.ForeignKey("grades.id")),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("total", sa.Text),
        sa.Column("possible", sa.Text),
        sa.Column("percent", sa.Text),
        sa.Column("record_key", sa.Text, nullable=False, index=True),
        sa.Column("judge_key", sa.Text, nullable=False),
        sa.Column("score_key", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("bundle", sa.Text),
        sa.Column("bundle_digest", sa.Text),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )
