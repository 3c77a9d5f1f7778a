"""PostgreSQL and Redis: schema, migrations, repositories, last values, and the servers that a laptop runs by itself."""
