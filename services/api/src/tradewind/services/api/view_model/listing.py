"""Which rows of a list somebody wants: the query parameters of orders and fills, and the SQL that they become."""

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Query

from tradewind.model.order_status import CLOSED
from tradewind.model.orders import Order

OPEN: Final = "open"
LATEST_NS: Final = 2**63 - 1
StatusName = Literal[
    "INITIALIZED",
    "DENIED",
    "SUBMITTED",
    "ACCEPTED",
    "REJECTED",
    "TRIGGERED",
    "PENDING_UPDATE",
    "PENDING_CANCEL",
    "PARTIALLY_FILLED",
    "FILLED",
    "CANCELED",
    "EXPIRED",
    "open",
    "UNKNOWN",
]
StrategyFilter = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9-]{1,24}$")]
TimeFilter = Annotated[str | None, Query(pattern=r"^[0-9]{1,19}$", description="ns since the epoch, UTC")]
SearchText = Annotated[
    str | None,
    Query(
        pattern=r"^[\x21-\x7e]{1,64}$", description="Beginning of our order id, or a whole id of the venue or a chain"
    ),
]


@dataclasses.dataclass(frozen=True, slots=True)
class Filters:
    """What rows must be like; None is anything. ``since`` <= the row's time < ``until``, ns as text."""

    strategy_id: str | None = None
    instrument_id: str | None = None
    side: str | None = None
    since: str | None = None
    until: str | None = None
    search: str | None = None
    status: str | None = None

    def conditions(self, time_column: str, search_columns: tuple[str, ...]) -> "Conditions":
        """The SQL of these filters, but for status."""
        found = Conditions()
        for column in ("strategy_id", "instrument_id", "side"):
            found.add(f"{column} = {{}}", getattr(self, column))
        found.add(f"{time_column} >= {{}}", None if self.since is None else min(int(self.since), LATEST_NS))
        found.add(f"{time_column} < {{}}", None if self.until is None else min(int(self.until), LATEST_NS))
        if self.search is not None:
            others = "".join(f" OR {column} = {{}}" for column in search_columns)
            found.add(f"(starts_with(client_order_id, {{}}){others})", *[self.search] * (1 + len(search_columns)))
        return found

    def takes(self, order: Order) -> bool:
        """Whether an order of memory is like that, but for status and search."""
        is_named = all(
            wanted in (None, value)
            for wanted, value in (
                (self.strategy_id, order.strategy_id),
                (self.instrument_id, order.instrument_id),
                (self.side, order.side.value),
            )
        )
        is_late_enough = self.since is None or order.ts_init >= int(self.since)
        return is_named and is_late_enough and (self.until is None or order.ts_init < int(self.until))

    def add_status(self, found: "Conditions") -> None:
        """A status, or one of the words ``open`` and ``UNKNOWN``, as a condition on orders."""
        if self.status == OPEN:
            found.add("(status <> ALL({}) OR outcome = 'UNKNOWN')", [status.value for status in CLOSED])
        elif self.status == "UNKNOWN":
            found.add("outcome = {}", "UNKNOWN")
        else:
            found.add("status = {}", self.status)


class Conditions:
    """Conditions joined by AND, and their parameters from ``$2`` on; ``$1`` is the account."""

    def __init__(self) -> None:
        self._texts = ["account_id = $1"]
        self.parameters: list[Any] = []

    def add(self, text: str, *values: Any) -> None:
        """A condition with ``{}`` for each value; with None for a value it is left out."""
        if any(value is None for value in values):
            return
        self._texts.append(text.format(*self.places(*values)))

    def places(self, *values: Any) -> Iterator[str]:
        """The placeholders of further parameters."""
        for value in values:
            self.parameters.append(value)
            yield f"${len(self.parameters) + 1}"

    def __str__(self) -> str:
        return " AND ".join(self._texts)


def _filters(
    strategy_id: StrategyFilter = None,
    instrument_id: Annotated[str | None, Query(min_length=1, max_length=64)] = None,
    side: Literal["BUY", "SELL"] | None = None,
    since: TimeFilter = None,
    until: TimeFilter = None,
    search: SearchText = None,
) -> Filters:
    return Filters(strategy_id, instrument_id, side, since, until, search)


def _order_filters(
    filters: Annotated[Filters, Depends(_filters)], status: Annotated[StatusName | None, Query()] = None
) -> Filters:
    return dataclasses.replace(filters, status=status)


FillFilters = Annotated[Filters, Depends(_filters)]
OrderFilters = Annotated[Filters, Depends(_order_filters)]
