"""What Alembic runs: the revisions, in the transaction that the caller has begun."""

from alembic import context

from homing.store.db.schema.every_table import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
