"""Lets the test modules import the kit that lies beside them."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.register_assert_rewrite("command_kit")


@pytest.fixture
def stores(database_dsn: str, redis_url: str) -> dict[str, str]:
    return {"TRADEWIND_POSTGRES_DSN": database_dsn, "TRADEWIND_REDIS_URL": redis_url}
