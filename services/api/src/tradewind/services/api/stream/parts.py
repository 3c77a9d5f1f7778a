"""What the stream is made of: named parts, of which a client chooses those that its view shows.

A part tells what changed since a revision that a client has seen. What it says depends only on the fields of the look
that it names, so that clients which look at the same thing share the same bytes.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Final

from tradewind.model.identifiers import InstrumentId

EVERYTHING: Final = -1
"""The revision that a client has seen which has seen nothing."""
DEFAULT_DEPTH: Final = 20
DEFAULT_INTERVAL: Final = "1m"
ALWAYS: Final = (
    "instruments",
    "prices",
    "book",
    "trades",
    "chart",
    "marks",
    "orders",
    "fills",
    "positions",
    "balances",
    "equity",
    "equity_points",
    "trading_states",
    "health",
    "counters",
)
"""What a client is told that has chosen no parts."""


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What one client looks at."""

    parts: tuple[str, ...] = ALWAYS
    instrument_id: InstrumentId | None = None
    depth: int = DEFAULT_DEPTH
    interval: str = DEFAULT_INTERVAL
    strategy_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One part of the stream.

    ``rows`` gives what changed after a revision, None if nothing did; it is asked only when ``revision`` is higher.
    ``depends_on`` names the fields of the look that change its answer.
    """

    name: str
    revision: Callable[[Look], int]
    rows: Callable[[Look, int], Any]
    depends_on: tuple[str, ...] = ()


class Parts:
    """All parts of one stream, by name."""

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}

    def add(self, *parts: Part) -> None:
        """Make parts known.

        Raises:
            ValueError: one of that name is there.
        """
        for part in parts:
            if part.name in self._parts:
                raise ValueError(f"there are two parts {part.name!r}")
            self._parts[part.name] = part

    def add_whole(self, name: str, revision: Callable[[], int], rows: Callable[[], Any]) -> None:
        """A part that is told whole whenever it changes, the same to everybody."""
        self.add(Part(name, lambda _look: revision(), lambda _look, _since: rows()))

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    def __getitem__(self, name: str) -> Part:
        return self._parts[name]

    def names(self) -> list[str]:
        """All of them, sorted."""
        return sorted(self._parts)
