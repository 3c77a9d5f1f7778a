"""Market records into the database."""
