"""The ways to the simulated venue that a demo can take, and the variables that choose one."""

import enum
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tradewind.runtime.settings import PREFIX, service_prefix

_FIX_PORT: Final = 9878
_CLIENT: Final = "TRADEWIND"
_ITCH_PORT: Final = 26400
_OUCH_PORT: Final = 26401
_MAKER_FEE_RATE, _TAKER_FEE_RATE = "0", "0.0001"
_SOUP_USER: Final = "DEMO"
_SOUP_PASSWORD_BYTES: Final = 5


class VenuePath(enum.StrEnum):
    """How orders and market data travel."""

    BINANCE = "binance"
    FIX = "fix"
    ITCH = "itch"


def path_environment(path: VenuePath, data_dir: Path, free_port: Callable[[int], int]) -> dict[str, str]:
    """The variables of the venue and of the adapter. ``free_port`` answers the wanted one or another."""
    return {f"{PREFIX}VENUE_ADAPTER": _ADAPTERS[path]} | _BY_PATH[path](data_dir, free_port)


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


def _itch(data_dir: Path, free_port: Callable[[int], int]) -> dict[str, str]:
    """Orders over OUCH 4.2 and market data over ITCH 5.0; questions stay where they are.

    OUCH says no fees, so both sides must be told the same rates.
    """
    market, orders = str(free_port(_ITCH_PORT)), str(free_port(_OUCH_PORT))
    password = secrets.token_hex(_SOUP_PASSWORD_BYTES)
    venue, adapter = service_prefix("sim-venue"), f"{PREFIX}VENUE_OUCH_"
    return {
        f"{venue}ITCH_PORT": market,
        f"{venue}OUCH_PORT": orders,
        f"{venue}SOUP_USER": _SOUP_USER,
        f"{venue}SOUP_PASSWORD": password,
        f"{venue}MAKER_FEE_RATE": _MAKER_FEE_RATE,
        f"{venue}TAKER_FEE_RATE": _TAKER_FEE_RATE,
        f"{adapter}MAKER_FEE_RATE": _MAKER_FEE_RATE,
        f"{adapter}TAKER_FEE_RATE": _TAKER_FEE_RATE,
        f"{adapter}ADDRESS": f"127.0.0.1:{orders}",
        f"{adapter}MARKET_ADDRESS": f"127.0.0.1:{market}",
        f"{adapter}USER": _SOUP_USER,
        f"{adapter}PASSWORD": password,
        f"{adapter}FOLDER": str(data_dir / "ouch"),
    }


_ADAPTERS: Final = {VenuePath.BINANCE: "binance", VenuePath.FIX: "fix", VenuePath.ITCH: "ouch"}
_BY_PATH: Final = {VenuePath.BINANCE: _binance, VenuePath.FIX: _fix, VenuePath.ITCH: _itch}
