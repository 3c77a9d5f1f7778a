"""The ways to the simulated venue that a demo can take, and the variables that choose one."""

import enum
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tradewind.runtime.settings import PREFIX, service_prefix

_FIX_PORT: Final = 9878
_CLIENT: Final = "TRADEWIND"


class VenuePath(enum.StrEnum):
    """How orders and market data travel."""

    BINANCE = "binance"
    FIX = "fix"


def path_environment(path: VenuePath, data_dir: Path, free_port: Callable[[int], int]) -> dict[str, str]:
    """The variables of the venue and of the adapter. ``free_port`` answers the wanted one or another."""
    return {f"{PREFIX}VENUE_ADAPTER": path.value} | _BY_PATH[path](data_dir, free_port)


def _binance(_data_dir: Path, _free_port: Callable[[int], int]) -> dict[str, str]:
    return {}


def _fix(data_dir: Path, free_port: Callable[[int], int]) -> dict[str, str]:
    """Orders over FIX 4.4 with a drop copy; market data and questions stay where they are."""
    port = str(free_port(_FIX_PORT))
    venue, adapter = service_prefix("sim-venue"), f"{PREFIX}VENUE_FIX_"
    return {
        f"{venue}FIX_PORT": port,
        f"{venue}FIX_CLIENT": _CLIENT,
        f"{adapter}HOST": "127.0.0.1",
        f"{adapter}PORT": port,
        f"{adapter}FOLDER": str(data_dir / "fix"),
        f"{adapter}SENDER": _CLIENT,
        f"{adapter}DROP_COPY": f"{_CLIENT}-DC",
    }


_BY_PATH: Final = {VenuePath.BINANCE: _binance, VenuePath.FIX: _fix}
