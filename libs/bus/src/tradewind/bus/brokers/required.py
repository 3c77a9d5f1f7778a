"""One way to do without a component: a test is skipped with the reason, or fails where the component is required."""

import os
from typing import NoReturn

import pytest


def missing(component: str, reason: str) -> NoReturn:
    """Skip the test, or fail it when ``TRADEWIND_TEST_REQUIRE`` is ``all`` or names the component."""
    required = {name.strip() for name in os.environ.get("TRADEWIND_TEST_REQUIRE", "").split(",")}
    if required & {"all", component}:
        pytest.fail(f"{reason} (TRADEWIND_TEST_REQUIRE asks for {component})", pytrace=False)
    pytest.skip(reason)
