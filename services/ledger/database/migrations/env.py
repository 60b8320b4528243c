"""What alembic runs: the steps, on the connection that it was given, in its transaction."""

from alembic import context

from services.ledger.database.job_tables import jobs

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=jobs.metadata,
    # SQLite undoes a failed step as a whole too, since `opening.py` begins the transaction.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
