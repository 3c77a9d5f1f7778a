"""A client on another FIX engine, the PyPI ``quickfix``, trades through the gateway."""

import asyncio
import importlib.util
import os
import sys
from pathlib import Path

import pytest
from gateway_kit import house

from tradewind.store.database import Database
from tradewind.venue.fix_dictionaries import dictionary

pytestmark = pytest.mark.timeout(120)
HERE = Path(__file__).parent
WANTED = {"rests A A", "rests 0 0", "gone 6 6", "gone 4 4", "takes A A", "takes 0 0", "takes F 2"}

if importlib.util.find_spec("quickfix") is None:
    if "all" in os.environ.get("TRADEWIND_TEST_REQUIRE", "").split(","):
        raise ImportError("the PyPI package quickfix is not installed: make peers")
    pytest.skip("the PyPI package quickfix is not installed: make peers", allow_module_level=True)


async def test_the_quickfix_of_pypi_trades_through_the_gateway(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "client"
    folder.mkdir()
    async with house(database, tmp_path) as rooms, rooms.gateway():
        command = [str(HERE / "pypi_client.py"), str(rooms.port), str(folder), str(dictionary("FIX.4.4"))]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        said: set[str] = set()
        try:
            async with asyncio.timeout(60):
                while not said >= WANTED:
                    line = await process.stdout.readline()
                    assert line, said
                    said.add(line.decode().strip())
        finally:
            process.stdin.close()
            await process.wait()
        # A market that moves may fill in parts; nothing else may be said.
        assert said == WANTED
