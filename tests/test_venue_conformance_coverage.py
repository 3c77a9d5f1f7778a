"""Every installed adapter has a run of the conformance kit, and leaves out only checks that exist."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tradewind.venue.adapters import adapter_named, installed_adapters
from tradewind.venue.conformance import (
    EXECUTION_CHECKS,
    MARKET_DATA_CHECKS,
    ExecutionCounterpart,
    MarketDataCounterpart,
)

ROOT = Path(__file__).parents[1]


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"coverage_of_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def counterparts() -> list[type[Any]]:
    """Those of all test files named ``test_*_conformance.py``; each runs what it lists in COUNTERPARTS."""
    paths = [path for part in ("libs", "services") for path in (ROOT / part).glob("*/tests/test_*_conformance.py")]
    return [each for path in sorted(paths) for each in loaded(path).COUNTERPARTS]


def test_every_adapter_with_market_data_is_run_against_the_kit() -> None:
    run = [each for each in counterparts() if issubclass(each, MarketDataCounterpart)]
    factories = [adapter_named(each.adapter).market_data for each in run]
    given = [one.name for one in installed_adapters() if one.market_data]
    missing = [name for name in given if adapter_named(name).market_data not in factories]
    assert given
    assert not missing, f"no test_*_conformance.py lists a MarketDataCounterpart of {missing}"


def test_every_adapter_with_orders_is_run_against_the_kit() -> None:
    run = {each.adapter for each in counterparts() if issubclass(each, ExecutionCounterpart)}
    given = {one.name for one in installed_adapters() if one.execution}
    assert given
    assert not given - run, f"no test_*_conformance.py lists an ExecutionCounterpart of {sorted(given - run)}"


def test_only_checks_that_exist_are_left_out_and_each_says_why() -> None:
    for each in counterparts():
        checks = MARKET_DATA_CHECKS if issubclass(each, MarketDataCounterpart) else EXECUTION_CHECKS
        assert set(each.exempt) <= {check.__name__ for check in checks}, each
        assert all(reason.strip() for reason in each.exempt.values()), each
