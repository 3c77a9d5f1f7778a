"""What an account looked like some time ago: for a REST view that lags behind the private stream.

Keeps, for each order and balance that changed in the last ``MAX_STALE_MS``, what it was after each step, and one older
state. Bound: orders that changed in that time; nothing is kept before ``begin`` was called. It answers for times from
then on; for earlier ones it shows what was at ``begin``. Closed orders never change, so the record tells of them.
"""

import collections
import copy
from collections.abc import Iterable
from typing import Final, TypeVar

from tradewind.services.sim_venue.accounts import Balances, Holding
from tradewind.services.sim_venue.changes import Changes
from tradewind.services.sim_venue.faults.script import MAX_STALE_MS
from tradewind.services.sim_venue.orders import AccountTrade, VenueOrder

T = TypeVar("T")
_CLEAN_EVERY_MS: Final = 1_000

OrderVersions = collections.deque[tuple[int, VenueOrder]]
HoldingVersions = collections.deque[tuple[int, Holding]]


class ViewHistory:
    """See the module. Times are ms of the venue's true clock."""

    def __init__(self) -> None:
        self._began_ms: int | None = None
        self._cleaned_ms = 0
        self._orders: dict[int, OrderVersions] = {}
        self._holdings: dict[tuple[str, str], HoldingVersions] = {}
        self._trade_times: dict[int, int] = {}

    @property
    def is_kept(self) -> bool:
        """Whether ``begin`` was called."""
        return self._began_ms is not None

    def begin(self, open_orders: Iterable[VenueOrder], balances: Balances, now_ms: int) -> None:
        """Keep what happens from now on."""
        # What is now was so before anything else of this ms.
        now_ms -= 1
        self._began_ms = self._cleaned_ms = now_ms
        self._orders = {order.order_id: collections.deque([(now_ms, copy.copy(order))]) for order in open_orders}
        self._holdings = {
            key: collections.deque([(now_ms, copy.copy(held))]) for key, held in balances.holdings.items()
        }
        self._trade_times = {}

    def end(self) -> None:
        """Keep nothing any more."""
        self._began_ms = None
        self._orders, self._holdings, self._trade_times = {}, {}, {}

    def note(self, changes: Changes, now_ms: int) -> None:
        """Take a step of the exchange."""
        if self._began_ms is None:
            return
        for order in changes.orders:
            self._orders.setdefault(order.order_id, collections.deque()).append((now_ms, order))
        for key, held in changes.holdings.items():
            self._holdings.setdefault(key, collections.deque()).append((now_ms, held))
        for trade in changes.trades:
            self._trade_times[trade.trade_id] = now_ms
        if now_ms - self._cleaned_ms >= _CLEAN_EVERY_MS:
            self._clean(now_ms)

    def order(self, order: VenueOrder, then_ms: int) -> VenueOrder | None:
        """An order as it was, or None when it was not there yet."""
        versions = self._orders.get(order.order_id)
        return order if versions is None else _version(versions, self._shown_ms(then_ms))

    def orders(self, orders: Iterable[VenueOrder], then_ms: int) -> list[VenueOrder]:
        """Those of some orders that were there, as they were."""
        seen = (self.order(order, then_ms) for order in orders)
        return [order for order in seen if order is not None]

    def open_orders(
        self, account: str, symbol: str | None, now_open: Iterable[VenueOrder], then_ms: int
    ) -> list[VenueOrder]:
        """The orders of an account that were open, oldest first; ``symbol`` None: in all symbols."""
        shown_ms = self._shown_ms(then_ms)
        found = {order.order_id: order for order in now_open if order.order_id not in self._orders}
        for order_id, versions in self._orders.items():
            order = _version(versions, shown_ms)
            if (
                order is not None
                and order.account == account
                and symbol in (None, order.symbol)
                and order.state.is_open
            ):
                found[order_id] = order
        return [found[order_id] for order_id in sorted(found)]

    def trades(self, trades: Iterable[AccountTrade], then_ms: int) -> list[AccountTrade]:
        """Those of some trades that had been made."""
        shown_ms = self._shown_ms(then_ms)
        return [trade for trade in trades if self._trade_times.get(trade.trade_id, shown_ms) <= shown_ms]

    def holding(self, account: str, asset: str, held: Holding, then_ms: int) -> Holding:
        """A balance as it was; ``held`` is what it is now."""
        versions = self._holdings.get((account, asset))
        if versions is None:
            return held
        return _version(versions, self._shown_ms(then_ms)) or Holding()

    def _shown_ms(self, then_ms: int) -> int:
        return max(then_ms, self._began_ms or 0)

    def _clean(self, now_ms: int) -> None:
        self._cleaned_ms = now_ms
        oldest_ms = now_ms - MAX_STALE_MS
        for of_order in self._orders.values():
            _drop_before(of_order, oldest_ms)
        for of_holding in self._holdings.values():
            _drop_before(of_holding, oldest_ms)
        ended = [
            order_id
            for order_id, versions in self._orders.items()
            if len(versions) == 1 and versions[0][0] <= oldest_ms and not versions[0][1].state.is_open
        ]
        for order_id in ended:
            del self._orders[order_id]
        for trade_id in [each for each, made_ms in self._trade_times.items() if made_ms <= oldest_ms]:
            del self._trade_times[trade_id]


def _version(versions: collections.deque[tuple[int, T]], then_ms: int) -> T | None:
    found: T | None = None
    for noted_ms, value in versions:
        if noted_ms > then_ms:
            break
        found = value
    return found


def _drop_before(versions: collections.deque[tuple[int, T]], oldest_ms: int) -> None:
    while len(versions) > 1 and versions[1][0] <= oldest_ms:
        versions.popleft()
