"""What must hold: checked at each change of the venue and of the store, and when everything has settled."""

from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from faults.client import ACCOUNT_ID, INSTRUMENTS
from faults.oracle import check
from faults.records import store_record, venue_record
from faults.sim_venue import DEPOSITS
from tradewind.services.sim_venue.amounts import ONE
from tradewind.services.sim_venue.orders import BUY, OrderState, VenueOrder
from tradewind.wire.events import OrderDenied
from tradewind.wire.topics import ACCOUNT_EVENTS, ORDERS_EVENTS

if TYPE_CHECKING:
    from faults.processes import Process
    from faults.world import World

_CLOSED: Final = frozenset({"DENIED", "REJECTED", "FILLED", "CANCELED", "EXPIRED"})
_ENDS: Final = {
    OrderState.FILLED: "FILLED",
    OrderState.CANCELED: "CANCELED",
    OrderState.EXPIRED: "EXPIRED",
    OrderState.EXPIRED_IN_MATCH: "EXPIRED",
}
_TOLERANCE: Final = Decimal("1.012")
"""Prices of the market lie within 0.6 % of its center."""


class Invariants:
    """The checks of one world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.lease_owner: Process | None = None

    # -- at each step ------------------------------------------------------------------------------------------------

    def first_byte(self, process: "Process", client_order_id: str) -> None:
        """An order is about to leave: it must be durable, not ended, and its sender must hold the lease."""
        tables, world = self._world.server.tables, self._world
        row = tables.orders.get((ACCOUNT_ID, client_order_id))
        if row is None:
            world.violated(f"{client_order_id} is sent and not in the store")
        elif row["status"] in _CLOSED:
            world.violated(f"{client_order_id} is sent after it ended as {row['status']} ({row['reason']})")
        lease = tables.leases.get(f"execution:{ACCOUNT_ID}")
        if lease is None or self.lease_owner is not process or lease["expires_at"] <= world.scheduler.now_ns:
            world.violated(f"{client_order_id} is sent by {process.name}, which does not hold the lease now")

    def placed(self, client_order_id: str) -> None:
        """The venue took an order."""
        world = self._world
        same = [o for o in world.venue.newest() if o.client_order_id == client_order_id]
        if len(same) > 1:
            world.violated(f"{client_order_id} has {len(same)} orders at the venue")
        row = world.server.tables.orders.get((ACCOUNT_ID, client_order_id))
        if row is None:
            world.violated(f"{client_order_id} is at the venue and not in the store")
        elif row["status"] in _CLOSED:
            world.violated(f"{client_order_id} is taken by the venue after it ended here as {row['status']}")
        self._check_limits()

    def statement(self, name: str, process: "Process", arguments: tuple[Any, ...], rows: list[dict[str, Any]]) -> None:
        """A statement took effect in the store."""
        if name == "acquire" and rows:
            self.lease_owner = process
        elif name == "commit_order_batch":
            self._committed([values[1] for group in arguments[4:6] for values in group or ()])

    def _committed(self, names: list[str]) -> None:
        tables = self._world.server.tables
        for name in names:
            row = tables.orders[ACCOUNT_ID, name]
            doubt = " UNKNOWN" if row["outcome"] == "UNKNOWN" else ""
            self._world.tell(
                "store", f"{name} is {row['status']}{doubt}, {row['filled_size']} filled; {row['reason'] or ''}"
            )
            if row["status"] in _CLOSED:
                self._ended(row)
        trades = {f"{t.symbol}-{t.trade_id}": t for _, t in self._world.venue.trades}
        for key, row in tables.fills.items():
            trade = trades.get(key[2])
            if trade is None or str(trade.order_id) != row["venue_order_id"]:
                self._world.violated(f"fill {key[2]} is in the store and the venue made no such trade")
        self._check_books()

    def _ended(self, row: dict[str, Any]) -> None:
        """An order got its end in the store: only the venue's word may give it."""
        name, status = row["client_order_id"], row["status"]
        if status == "DENIED":
            return
        found = [o for o in self._world.venue.newest() if o.client_order_id == name]
        if not found:
            if status != "REJECTED":
                self._world.violated(f"{name} ended as {status} and the venue never had it")
        elif all(_ENDS.get(order.state) != status for order in found):
            self._world.violated(f"{name} ended as {status}, at the venue it is {found[0].state}")

    def service_failed(self, who: str, reason: str, error: BaseException | None) -> None:
        """An error that reached the supervisor."""
        self._world.violated(f"the service of {who} failed: {reason}")

    def _check_books(self) -> None:
        tables = self._world.server.tables
        account: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in tables.fills.values():
            account[row["base_currency"]] += row["base_amount"]
            account[row["quote_currency"]] += row["quote_amount"]
            account[row["fee_currency"]] -= row["fee"]
        booked: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in tables.books.values():
            booked[row["currency"]] += row["amount"]
        for currency in {row["currency"] for row in tables.books.values()}:
            opening = tables.opening.get((ACCOUNT_ID, currency))
            wanted = account[currency] + (opening["amount"] if opening else 0)
            if booked[currency] != wanted:
                self._world.violated(f"books of {currency} add up to {booked[currency]}, the fills to {wanted}")

    def _check_limits(self) -> None:
        if self._world.workload.by_hand:
            return
        limits = self._world.settings.limits
        for symbol, instrument in INSTRUMENTS.items():
            opened = [o for o in self._world.venue.exchange.open_orders.values() if o.symbol == symbol]
            if len(opened) > limits.max_open_orders_per_instrument:
                self._world.violated(f"{len(opened)} orders rest in {symbol}")
            held = sum(t.size if t.side == BUY else -t.size for _, t in self._world.venue.trades if t.symbol == symbol)
            center = self._world.venue.market(symbol).center
            for sign in (1, -1):
                size = max(held * sign, 0) + sum(o.remaining for o in opened if (o.side == BUY) == (sign == 1))
                notional = instrument.notional(center, size)
                if notional > limits.max_instrument_notional * _TOLERANCE:
                    self._world.violated(f"{notional} could be held of {symbol}, the limit is not kept")

    # -- at the end --------------------------------------------------------------------------------------------------

    def unsettled(self) -> list[str]:
        """What is not yet as it must be when nothing fails any more."""
        world = self._world
        found = []
        ready = [process.name for process in world.processes if process.ready]
        if len(ready) != 1 or not all(process.alive for process in world.processes):
            found.append(f"ready: {ready}, alive: {[p.name for p in world.processes if p.alive]}")
        return [
            *found,
            *self._orders(),
            *self._fills(),
            *self._balances(),
            *self._intents(),
            *self._published(),
            *self._refusals(),
        ]

    def check_end(self, *, settled: bool) -> None:
        """The last look."""
        if self._world.violations:
            return
        for problem in self.unsettled():
            self._world.violated(f"30 s after the last fault: {problem}" if not settled else problem)
        for violation in check(venue_record(self._world), store_record(self._world)):
            self._world.violated(f"{violation.invariant}: {violation.what}")

    def _orders(self) -> list[str]:
        tables, venue = self._world.server.tables, self._world.venue
        by_name: defaultdict[str, list[VenueOrder]] = defaultdict(list)
        for order in venue.newest():
            by_name[order.client_order_id].append(order)
        found = []
        for name, orders in by_name.items():
            if len(orders) > 1:
                found.append(f"{name} has {len(orders)} orders at the venue")
            row = tables.orders.get((ACCOUNT_ID, name))
            if row is None:
                found.append(f"{name} of the venue is not in the store")
            elif reason := _difference(row, orders[0]):
                found.append(f"{name}: {reason}")
        for (_, name), row in tables.orders.items():
            if row["outcome"] == "UNKNOWN" or row["status"] in ("SUBMITTED", "PENDING_CANCEL"):
                found.append(f"{name} is {row['status']} and {row['outcome']}")
            elif name not in by_name and row["status"] not in ("DENIED", "REJECTED"):
                found.append(f"{name} is {row['status']} and the venue never had it")
        return found

    def _fills(self) -> list[str]:
        stored = {key[2] for key in self._world.server.tables.fills}
        made = {f"{t.symbol}-{t.trade_id}" for _, t in self._world.venue.trades}
        return [f"trades that only the venue or only the store has: {sorted(stored ^ made)}"] if stored != made else []

    def _balances(self) -> list[str]:
        booked: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in self._world.server.tables.books.values():
            booked[row["currency"]] += row["amount"]
        balances = self._world.venue.exchange.balances
        found = []
        for asset in DEPOSITS:
            held = balances.of("main", asset)
            at_venue = Decimal(held.free + held.locked) / ONE
            if booked[asset] != at_venue:
                found.append(f"books of {asset} add up to {booked[asset]}, the venue holds {at_venue}")
        return found

    def _intents(self) -> list[str]:
        known = {name for _, name in self._world.server.tables.orders}
        return [f"the intent {name} was lost" for name in self._world.workload.intents if name not in known]

    def _refusals(self) -> list[str]:
        """An order that a strategy was told is denied must be denied."""
        tables = self._world.server.tables
        found = []
        for message in self._world.broker.messages(ORDERS_EVENTS):
            if isinstance(message, OrderDenied) and message.sequence:
                row = tables.orders.get((ACCOUNT_ID, message.client_order_id))
                if row is not None and row["status"] != "DENIED":
                    found.append(f"{message.client_order_id} was told to be denied and is {row['status']}")
        return found

    def _published(self) -> list[str]:
        """Every committed message is on the bus, and first came in the order of its commit."""
        world = self._world
        for topic in (ORDERS_EVENTS, ACCOUNT_EVENTS):
            wanted = [row["event_id"] for row in world.server.tables.journal if row["topic"] == topic.name]
            seen = Counter(getattr(message, "event_id", "") for message in world.broker.messages(topic))
            missing = [event_id for event_id in wanted if not seen[event_id]]
            if missing:
                return [f"{len(missing)} committed messages of {topic.name} were never published"]
        return []


def _difference(row: dict[str, Any], order: VenueOrder) -> str:
    """Why a stored order is not what the venue has, or nothing."""
    if row["filled_size"] != order.executed:
        return f"{row['filled_size']} filled in the store, {order.executed} at the venue"
    if order.state.is_open:
        return "" if row["status"] not in _CLOSED else f"{row['status']} in the store, open at the venue"
    wanted = _ENDS[order.state]
    return "" if row["status"] == wanted else f"{row['status']} in the store, {order.state} at the venue"
