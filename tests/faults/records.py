"""The simulation's venue and store as the oracle reads them: the same records that it reads after real processes."""

from typing import TYPE_CHECKING, Any, Final

from faults.client import INSTRUMENTS
from faults.oracle import Limits, StoreEvent, StoreRecord, VenueOrder, VenueRecord, VenueTrade
from faults.oracle_readers import _store_fill, _store_order, amount
from faults.sim_venue import ACCOUNT, DEPOSITS, SYMBOLS
from tradewind.model.fixed_point import from_mantissa
from tradewind.services.sim_venue import orders as venue_orders
from tradewind.services.sim_venue.listings import KNOWN

if TYPE_CHECKING:
    from faults.world import World

_BY_ID: Final = {str(instrument.instrument_id): instrument for instrument in INSTRUMENTS.values()}


def venue_record(world: "World") -> VenueRecord:
    """All that the simulated venue recorded."""
    balances = world.venue.exchange.balances
    held = {asset: balances.of(ACCOUNT, asset) for asset in DEPOSITS}
    return VenueRecord(
        symbols={symbol: (KNOWN[symbol].base, KNOWN[symbol].quote) for symbol in SYMBOLS},
        orders=[_order(order, world.workload.by_hand) for order in world.venue.newest()],
        trades=[_trade(trade) for _, trade in world.venue.trades],
        opening={asset: amount(deposited) for asset, deposited in DEPOSITS.items()},
        balances={asset: amount(holding.free + holding.locked) for asset, holding in held.items()},
        locked={asset: amount(holding.locked) for asset, holding in held.items()},
        house={key: amount(units) for key, units in balances.house.items()},
    )


def store_record(world: "World") -> StoreRecord:
    """All that the simulated store holds."""
    tables = world.server.tables
    return StoreRecord(
        orders=[_store_order(row, _BY_ID[row["instrument_id"]]) for row in tables.orders.values()],
        fills=[_store_fill(row, _BY_ID[row["instrument_id"]]) for row in tables.fills.values()],
        positions={
            (row["strategy_id"], _BY_ID[row["instrument_id"]].symbol): _BY_ID[row["instrument_id"]].decimal_size(
                row["signed_size"]
            )
            for row in tables.positions.values()
        },
        books={(row["strategy_id"], row["currency"]): row["amount"] for row in tables.books.values()},
        opening={row["currency"]: row["amount"] for row in tables.opening.values()},
        events=[
            StoreEvent(row["client_order_id"], row["sequence"], row["type"])
            for row in tables.journal
            if row["sequence"]
        ],
        limits=_limits(world),
    )


def _limits(world: "World") -> Limits:
    """None where the record cannot tell: somebody else's orders, or a venue whose clock was turned."""
    if world.workload.by_hand or any(choice.fault == "skew" for choice in world.happened):
        return Limits()
    limits = world.settings.limits
    return Limits(
        max_order_notional=limits.max_order_notional,
        max_instrument_notional=limits.max_instrument_notional,
        max_account_notional=limits.max_account_notional,
        max_open_orders_per_instrument=limits.max_open_orders_per_instrument,
        max_open_orders=limits.max_open_orders,
    )


def _order(order: venue_orders.VenueOrder, by_hand: set[str]) -> VenueOrder:
    return VenueOrder(
        order_id=str(order.order_id),
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=1 if order.side == venue_orders.BUY else -1,
        size=amount(order.size),
        price=from_mantissa(order.price, KNOWN[order.symbol].price_precision) if order.price else None,
        executed=amount(order.executed),
        state=str(order.state),
        created_ms=order.created_ms,
        updated_ms=order.updated_ms,
        locked=amount(order.locked),
        external=order.client_order_id in by_hand,
    )


def _trade(trade: Any) -> VenueTrade:
    return VenueTrade(
        trade_id=f"{trade.symbol}-{trade.trade_id}",
        order_id=str(trade.order_id),
        symbol=trade.symbol,
        side=1 if trade.side == venue_orders.BUY else -1,
        price=from_mantissa(trade.price, KNOWN[trade.symbol].price_precision),
        size=amount(trade.size),
        fee=amount(trade.fee),
        fee_currency=trade.fee_asset,
        time_ms=trade.time_ms,
    )
