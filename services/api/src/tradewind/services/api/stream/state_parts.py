"""The parts of the stream that the view model holds: markets, orders, fills, accounts, strategies."""

from typing import Any, Final

from tradewind.model.orders import Order
from tradewind.services.api.stream.parts import EVERYTHING, Look, Part, Parts
from tradewind.services.api.view_model.limit_views import limit_views
from tradewind.services.api.view_model.market_view import MarketView, instrument_view
from tradewind.services.api.view_model.order_views import FillMark, fill_mark, fill_view, order_view
from tradewind.services.api.view_model.state import ViewState

MAX_OPEN_ORDERS: Final = 500
MAX_CLOSED_ORDERS: Final = 200
MAX_CHANGED_ORDERS: Final = 500
MAX_FILLS: Final = 300
MAX_MARKS: Final = 2_000


def add_state_parts(parts: Parts, state: ViewState) -> None:
    """Make the parts of a view model known."""
    _add_market_parts(parts, state)
    _add_order_parts(parts, state)
    parts.add_whole("balances", lambda: state.balances.revision, state.balance_views)
    parts.add_whole("equity", lambda: state.equity.revision, state.equity_views)
    parts.add_whole("limits", lambda: state.limits.revision, lambda: limit_views(state))
    parts.add_whole("trading_states", lambda: state.trading_states.revision, state.trading_state_views)
    parts.add(
        Part(
            "equity_points",
            lambda _look: state.equity_points.revision,
            lambda _look, since: state.equity_points.since(since) or None,
        ),
        Part(
            "strategy_logs",
            lambda look: state.strategies.log_revision(look.strategy_id),
            lambda look, since: state.strategies.lines_since(look.strategy_id, since) or None,
            ("strategy_id",),
        ),
    )


def _add_market_parts(parts: Parts, state: ViewState) -> None:
    def market(look: Look) -> MarketView | None:
        return state.markets.get(look.instrument_id) if look.instrument_id else None

    def instruments(_look: Look, _since: int) -> list[Any]:
        return [instrument_view(one.instrument) for one in state.markets.values()]

    def prices(_look: Look, since: int) -> list[Any] | None:
        return [one.price_view() for one in state.markets.values() if one.price_revision > since] or None

    def book_revision(look: Look) -> int:
        return found.book_revision if (found := market(look)) else 0

    def book(look: Look, _since: int) -> Any:
        return found.book_view(look.depth) if (found := market(look)) else None

    def trades(look: Look, since: int) -> list[Any] | None:
        found = market(look)
        return [found.trade_view(record) for record in found.trades.since(since)] or None if found else None

    def chart(look: Look, since: int) -> list[Any] | None:
        return found.points.since(since) or None if (found := market(look)) else None

    def marks(look: Look, since: int) -> list[FillMark] | None:
        return _marks(state, found, since) or None if (found := market(look)) else None

    def bars(look: Look, since: int) -> list[Any] | None:
        return found.bars.since(look.interval, since) or None if (found := market(look)) else None

    parts.add(
        Part("instruments", lambda _look: state.instruments_revision, instruments),
        Part("prices", lambda _look: state.revisions.prices, prices),
        Part("book", book_revision, book, ("instrument_id", "depth")),
        Part("trades", lambda look: one.trades.revision if (one := market(look)) else 0, trades, ("instrument_id",)),
        Part("chart", lambda look: one.points.revision if (one := market(look)) else 0, chart, ("instrument_id",)),
        Part("marks", lambda _look: state.ledger.fills.revision, marks, ("instrument_id",)),
        Part(
            "bars",
            lambda look: one.bars.revision if (one := market(look)) else 0,
            bars,
            ("instrument_id", "interval"),
        ),
    )


def _marks(state: ViewState, market: MarketView, since: int) -> list[FillMark]:
    wanted = market.instrument.instrument_id
    of_market = [fill for fill in state.ledger.fills.since(since) if fill.instrument_id == wanted]
    return [fill_mark(fill, market.instrument) for fill in of_market[-MAX_MARKS:]]


def _add_order_parts(parts: Parts, state: ViewState) -> None:
    ledger = state.ledger

    def orders(_look: Look, since: int) -> list[Any]:
        found = _all_orders(state) if since == EVERYTHING else ledger.orders.since(since)[:MAX_CHANGED_ORDERS]
        return [order_view(order, state.instrument(order.instrument_id)) for order in found]

    def fills(_look: Look, since: int) -> list[Any] | None:
        found = ledger.fills.since(since)[-MAX_FILLS:]
        return [fill_view(fill, state.instrument(fill.instrument_id)) for fill in found] or None

    parts.add(
        Part("orders", lambda _look: ledger.orders.revision, orders),
        Part("fills", lambda _look: ledger.fills.revision, fills),
    )


def _all_orders(state: ViewState) -> list[Order]:
    unfinished = list(state.ledger.open_orders())[:MAX_OPEN_ORDERS]
    shown = {order.client_order_id for order in unfinished}
    others = [order for order in state.ledger.orders.newest() if order.client_order_id not in shown]
    return [*unfinished, *others[:MAX_CLOSED_ORDERS]]
