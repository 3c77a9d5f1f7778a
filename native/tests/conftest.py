"""Real captures that are not part of the repository: a test that needs them skips with the reason."""

import gzip
import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def _data_folder() -> Path:
    return Path(os.environ.get("TRADEWIND_TEST_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def test_data() -> Path:
    folder = _data_folder()
    if not folder.is_dir():
        pytest.skip(f"no test data in {folder}: set TRADEWIND_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def capture(test_data: Path) -> list[tuple[int, bytes]]:
    """The Binance capture: time of arrival in ns, frame."""
    path = test_data / "binance-spot" / "btcusdt_20240808.gz"
    if not path.is_file():
        pytest.skip(f"no capture {path}")
    lines = (line.split(b" ", 1) for line in gzip.decompress(path.read_bytes()).splitlines())
    return [(int(at), frame) for at, frame in lines]
