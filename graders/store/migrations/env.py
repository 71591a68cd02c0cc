"""Run by Alembic, on a connection and within a transaction of ours."""

from __future__ import annotations

from alembic import context

from graders.store.schema import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
