"""Alembic's entry: runs on the connection that `shared.store.migrate` holds."""

from alembic import context

from shared.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller's transaction holds every migration and its row
    render_as_batch=True,
)
context.run_migrations()
