"""A real venue on a loopback port for each test."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tradewind.services.sim_venue.settings import Settings

sys.path.insert(0, str(Path(__file__).parent))

from running_venue import RunningVenue, StartVenue, start


@pytest.fixture
async def start_venue(tmp_path: Path) -> AsyncIterator[StartVenue]:
    """Start venues; each keyword is a setting. They share one data folder unless ``data_dir`` is given."""
    running: list[RunningVenue] = []

    async def begin(*, data_dir: Path | None = None, lockstep: bool = False, **settings: Any) -> RunningVenue:
        made = Settings(**{"port": 0, "seed": 7, **settings})
        venue = await start(made, data_dir or tmp_path / "data", lockstep=lockstep)
        running.append(venue)
        return venue

    yield begin
    for venue in running:
        await venue.stop()


@pytest.fixture
async def quiet(start_venue: StartVenue) -> RunningVenue:
    """A venue with a book whose flow does nearly nothing, so that a test alone moves it."""
    return await start_venue(events_per_s=0.001)
