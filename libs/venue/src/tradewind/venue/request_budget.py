"""What a request is worth to us, how much of a venue's limits each kind may use, and who may count for all processes.

The four classes go before one another in this order. Each lower class leaves a reserve of every limit to those above
it, so that questions can never use up what cancels need.
"""

import enum
from collections.abc import Sequence
from typing import Final, Protocol


class RequestClass(enum.IntEnum):
    """How urgent a request is; the lower number goes first."""

    CANCEL = 0
    REDUCE = 1  # an order that can only make a position smaller
    NEW = 2
    QUERY = 3


WEIGHT_RESERVES: Final = {
    RequestClass.CANCEL: 0.0,
    RequestClass.REDUCE: 0.05,
    RequestClass.NEW: 0.10,
    RequestClass.QUERY: 0.25,
}
"""Share of the request weight that a class leaves to the classes above it."""
ORDER_RESERVES: Final = {
    RequestClass.CANCEL: 0.0,
    RequestClass.REDUCE: 0.0,
    RequestClass.NEW: 0.05,
    RequestClass.QUERY: 0.05,
}
"""The same of the counts of orders; cancels and queries need none of them."""
PATIENCE_S: Final = {
    RequestClass.CANCEL: 15.0,
    RequestClass.REDUCE: 1.0,
    RequestClass.NEW: 0.0,
    RequestClass.QUERY: 5.0,
}
"""How long a request waits for its turn before it is refused. A new order that must wait would be a stale one."""


def allowances(kind: str, limit: int) -> tuple[int, ...]:
    """How much of a limit ("weight" or "orders") each class may use, by ``RequestClass``. Reserves are rounded down."""
    reserves = WEIGHT_RESERVES if kind == "weight" else ORDER_RESERVES
    return tuple(limit - int(limit * reserves[each]) for each in RequestClass)


class SharedBudget(Protocol):
    """Limits that several processes count together. Everything here is bounded in time and raises nothing.

    A rule is (kind, seconds of its window, limit, allowance of each class); kinds are "weight" and "orders".
    """

    def configure(self, rules: Sequence[tuple[str, int, int, Sequence[int]]]) -> None:
        """Take the limits of the venue."""
        ...

    def spend(self, weight: int, orders: int) -> bool:
        """Use what is held ahead for orders, without I/O; False when there is not enough."""
        ...

    async def take(self, priority: int, weight: int, orders: int, *, patience_s: float) -> float | None:
        """Use some, waiting for up to ``patience_s``: 0 when they may be used, else the seconds it would take.

        None: nobody can be asked; the caller counts for itself and says so by ``note``.
        """
        ...

    def note(self, weight: int, orders: int) -> None:
        """Used without asking."""
        ...

    def observe(self, kind: str, interval_s: int, used: int, elapsed_s: float) -> None:
        """The venue's own count, in the answer to a request that was sent so long ago."""
        ...

    def block(self, seconds: float, *, everyone: bool) -> None:
        """The venue wants nothing for so long; ``everyone``: not even cancels."""
        ...

    async def tell(self) -> None:
        """Pass on at once what the others must know."""
        ...
