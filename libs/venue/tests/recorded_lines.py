"""Recorded traffic of OKX and Kraken."""

from collections.abc import Iterator
from pathlib import Path

import pytest


def recorded(path: Path) -> Iterator[str]:
    """What the venue sent: lines of time, colon, frame."""
    if not path.is_file():
        pytest.skip(f"no capture {path}")
    for line in path.read_text().splitlines():
        at, _, frame = line.partition(": ")
        if at.replace(".", "").isdigit():
            yield frame
