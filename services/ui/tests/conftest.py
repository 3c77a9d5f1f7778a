"""Chromium and running platforms, each started when first asked for."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))

from ui_platform import CAPTURE, CHROMIUM, UiPlatform

from tradewind.services.ui import ASSETS
from tradewind.store.testing import missing

WAIT_S = 240
"""Of one test of the page: the platform, the browser and the tests share what cores there are."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a browser: ``make test-ui`` runs them."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("ui")
            item.add_marker(pytest.mark.timeout(WAIT_S))


# Playwright's own 5 s are for a machine that does nothing else.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium without a window."""
    if CHROMIUM is None:
        missing("chromium", "there is no Chromium; install Debian's package chromium")
    if not (ASSETS / "index.html").is_file():
        missing("page", "the page has not been built; run: make ui")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiPlatform]:
    """The demo on its venue's own flow, for what acts: orders, halts, kill switches. Shared by all tests."""
    yield from _running(UiPlatform(tmp_path_factory.mktemp("demo"), "--seed", "7"))


@pytest.fixture(scope="module")
def replaying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiPlatform]:
    """The demo replaying recorded Binance traffic as fast as it was recorded (six minutes), for what looks."""
    if not CAPTURE.exists():
        missing("capture", f"no recorded capture at {CAPTURE}; set TRADEWIND_TEST_DATA")
    yield from _running(UiPlatform(tmp_path_factory.mktemp("replay"), "--replay", str(CAPTURE)))


@pytest.fixture
def own_platform(tmp_path: Path) -> Iterator[UiPlatform]:
    """A demo of the test's own, for what breaks it."""
    yield from _running(UiPlatform(tmp_path, "--seed", "7"))


def _running(platform: UiPlatform) -> Iterator[UiPlatform]:
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()
