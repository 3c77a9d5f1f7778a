"""Limits of single strategies and instruments, from a TOML file::

    [strategy.ema-cross]
    max_position_notional = "50000"
    max_daily_loss = 500

    [instrument."BTCUSDT.BINANCE"]
    max_order_size = "2"

Numbers may be written as text, which keeps them as they are read. Everything that is not understood is refused: a limit
that a typing error switched off would be missed when it is needed.
"""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from tradewind.execution.limits import InstrumentLimits, ScopeLimits, StrategyLimits
from tradewind.model.identifiers import InstrumentId, StrategyId

L = TypeVar("L", bound=ScopeLimits)

_SECTIONS: Final = ("strategy", "instrument")


class LimitsFileError(ValueError):
    """The file cannot be read, or says something that is no limit; the message names file and key."""


class LimitsFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a limits file says."""

    strategies: dict[StrategyId, StrategyLimits] = {}
    instruments: dict[InstrumentId, InstrumentLimits] = {}


def read_limits_file(path: Path) -> LimitsFile:
    """The limits in a file.

    Raises:
        LimitsFileError: it cannot be read, is no TOML, names a key twice, or has an unknown key or a wrong value.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise LimitsFileError(f"{path}: cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise LimitsFileError(f"{path}: {_with_line(path, str(error))}") from error
    except UnicodeDecodeError as error:
        raise LimitsFileError(f"{path}: it holds no UTF-8 text") from error
    for section, tables in document.items():
        if section not in _SECTIONS or not isinstance(tables, dict):
            raise LimitsFileError(
                f"{path}: {section}: only tables [strategy.<id>] and [instrument.<id>] may stand here"
            )
    strategies = _tables(path, "strategy", document.get("strategy", {}), StrategyLimits)
    instruments = _tables(path, "instrument", document.get("instrument", {}), InstrumentLimits)
    return LimitsFile(
        strategies={StrategyId(name): limits for name, limits in strategies.items()},
        instruments={InstrumentId(name): limits for name, limits in instruments.items()},
    )


def _tables(path: Path, section: str, tables: dict[str, Any], kind: type[L]) -> dict[str, L]:
    read: dict[str, L] = {}
    for name, table in tables.items():
        try:
            read[name] = msgspec.convert(table, kind)
        except (msgspec.ValidationError, ValueError) as error:
            raise LimitsFileError(f"{path}: [{section}.{name}]: {error}") from error
    return read


def _with_line(path: Path, words: str) -> str:
    """The parser names a line; whoever looks for a key wants to see it."""
    _, _, rest = words.partition("(at line ")
    number = rest.partition(",")[0]
    lines = path.read_text(encoding="utf-8").rstrip().splitlines()
    shown = lines[: int(number)] if number.isdigit() else lines
    return f"{words}: {shown[-1].strip()}" if shown else words
