"""The tables of a store, as they are after the last migration.

Points are decimal text and moments ISO 8601 in UTC, so that both databases keep them to the digit.
"""

from sqlalchemy import Boolean, Column, ForeignKey, Integer, MetaData, Table, Text, UniqueConstraint

METADATA = MetaData()

VERSION_TABLE = "kubeproof_version"

COURSE = Table(
    "course",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("policy", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("at", Text, nullable=False),
)
"""The rules of the course, as they were adopted one after another; the last holds."""

LEARNERS = Table(
    "learners",
    METADATA,
    Column("learner_id", Text, primary_key=True),
    Column("place", Integer, nullable=False),
    Column("enrolled", Boolean, nullable=False),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("section", Text, nullable=False),
    Column("granted", Text, nullable=False),
)
"""Who takes the course; `granted` is JSON: ids, extensions, late_days, excused."""

ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("learner_id", Text, ForeignKey("learners.learner_id"), nullable=False),
    Column("lab", Text, nullable=False),
    Column("submission", Text, nullable=False),
    Column("submitted_at", Text, nullable=False),
    Column("first_at", Text, nullable=False),
    Column("grade_id", Integer),
    UniqueConstraint("learner_id", "lab", "submission", "submitted_at", name="one_attempt"),
)
"""What was handed in, and which of its grades holds; `submission` is a digest."""

GRADES = Table(
    "grades",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("attempt_id", Integer, ForeignKey("attempts.id"), nullable=False, index=True),
    Column("replaces", Integer, ForeignKey("grades.id")),
    Column("event", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("problem", Text, nullable=False),
    Column("total", Text),
    Column("possible", Text),
    Column("percent", Text),
    Column("record_key", Text, nullable=False, index=True),
    Column("judge_key", Text, nullable=False),
    Column("score_key", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("bundle", Text),
    Column("bundle_digest", Text),
    Column("report", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Text, nullable=False),
)
"""Every grade there was; a row is never changed."""

OVERRIDES = Table(
    "overrides",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("learner_id", Text, ForeignKey("learners.learner_id"), nullable=False),
    Column("lab", Text, nullable=False),
    Column("points", Text),
    Column("possible", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Text, nullable=False),
)
"""What persons said of results; the last of a learner and lab holds, one without points lifts the others."""
