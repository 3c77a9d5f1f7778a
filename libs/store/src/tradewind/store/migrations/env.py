"""What Alembic runs for every command. It only writes SQL; the runner executes it over asyncpg."""

from alembic import context

context.configure(dialect_name="postgresql", transactional_ddl=False)
context.run_migrations()
