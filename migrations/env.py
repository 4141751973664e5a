"""How Alembic reaches the database: through the connection that takeanumber.py opened and will commit."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
