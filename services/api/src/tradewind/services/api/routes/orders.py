"""REST: orders, fills, positions, balances, equity. What memory does not have comes from the store."""

from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Path, Query
from fastapi.responses import StreamingResponse

from tradewind.model.identifiers import ClientOrderId
from tradewind.model.orders import Order
from tradewind.services.api.routes.access import Access, Accessed
from tradewind.services.api.routes.authorization import NOT_ALLOWED, ReadRight
from tradewind.services.api.routes.csv_export import Rows, csv_answer
from tradewind.services.api.view_model.listing import OPEN, FillFilters, OrderFilters, StrategyFilter
from tradewind.services.api.view_model.order_views import SeenFill, event_view, fill_view, order_view
from tradewind.services.api.view_model.queries import Cursor, decode_cursor, encode_cursor
from tradewind.services.api.view_model.state import stored_equity_point
from tradewind.services.api.view_model.timelines import timeline
from tradewind.services.api.view_model.views import (
    BalanceView,
    EquityPointView,
    EquityView,
    FillPage,
    FillView,
    OrderPage,
    OrderStoryView,
    OrderView,
    PositionView,
    Problem,
    Responses,
    TradingStateView,
)

router: Final = APIRouter(tags=["orders and accounts"], responses=NOT_ALLOWED)
OrderIdPath = Annotated[str, Path(pattern=r"^[\x21-\x7e]{1,64}$")]
CSV_PAGE: Final = 500
PageLimit = Annotated[int, Query(ge=1, le=500)]
CursorText = Annotated[str | None, Query(max_length=256)]
STORE_AWAY: Final[Responses] = {503: {"model": Problem, "description": "The database is away; live data goes on"}}


ORDER_COLUMNS: Final = tuple(OrderView.__annotations__)
FILL_COLUMNS: Final = tuple(FillView.__annotations__)


@router.get("/orders", responses=STORE_AWAY)
async def orders(
    access: Accessed, who: ReadRight, filters: OrderFilters, limit: PageLimit = 100, cursor: CursorText = None
) -> OrderPage:
    """Orders, newest first. ``status=open`` is answered from memory: those without a known end, without a cursor."""
    if filters.status == OPEN and filters.search is None:
        unfinished = sorted(access.state.ledger.open_orders(), key=lambda order: -order.ts_init)
        chosen = [order for order in unfinished if filters.takes(order)]
        return OrderPage(orders=_views(access, chosen[:limit]), next_cursor=None, source="memory")
    found = await access.queries.orders(filters, after=_after(cursor), limit=limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    return OrderPage(
        orders=_views(access, found[:limit]),
        next_cursor=encode_cursor((last.ts_init, last.client_order_id)) if last else None,
        source="store",
    )


@router.get("/orders.csv", responses=STORE_AWAY, response_class=StreamingResponse)
async def orders_csv(access: Accessed, who: ReadRight, filters: OrderFilters) -> StreamingResponse:
    """The same list as CSV, from the store, at most 100,000 rows."""

    async def pages() -> AsyncIterator[Rows]:
        after: Cursor | None = None
        while found := await access.queries.orders(filters, after=after, limit=CSV_PAGE):
            yield _views(access, found)
            after = (found[-1].ts_init, found[-1].client_order_id)

    return await csv_answer("orders", ORDER_COLUMNS, pages())


@router.get("/orders/{client_order_id}", responses={404: {"model": Problem}, **STORE_AWAY})
async def order(access: Accessed, who: ReadRight, client_order_id: OrderIdPath) -> OrderStoryView:
    """An order and its whole story."""
    found = await find_order(access, client_order_id)
    events = await access.queries.order_events(client_order_id)
    instrument = access.state.instrument(found.instrument_id)
    return OrderStoryView(
        order=order_view(found, instrument),
        events=[event_view(event, instrument) for event in events],
        timeline=timeline(events),
    )


@router.get("/orders/by-correlation/{correlation_id}", responses=STORE_AWAY)
async def orders_of_one_cause(access: Accessed, who: ReadRight, correlation_id: OrderIdPath) -> OrderPage:
    """The orders that came of one cause, newest first, at most 100: what replaced what, and both legs of a pair."""
    found = await access.queries.orders_of(correlation_id, limit=100)
    return OrderPage(orders=_views(access, found), next_cursor=None, source="store")


@router.get("/fills", responses=STORE_AWAY)
async def fills(
    access: Accessed, who: ReadRight, filters: FillFilters, limit: PageLimit = 100, cursor: CursorText = None
) -> FillPage:
    """Executions of our orders, newest first."""
    found = await access.queries.fills(filters, after=_after(cursor), limit=limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    return FillPage(
        fills=_fill_views(access, found[:limit]),
        next_cursor=encode_cursor((last.ts_event, last.trade_id)) if last else None,
    )


@router.get("/fills.csv", responses=STORE_AWAY, response_class=StreamingResponse)
async def fills_csv(access: Accessed, who: ReadRight, filters: FillFilters) -> StreamingResponse:
    """The same list as CSV, at most 100,000 rows."""

    async def pages() -> AsyncIterator[Rows]:
        after: Cursor | None = None
        while found := await access.queries.fills(filters, after=after, limit=CSV_PAGE):
            yield _fill_views(access, found)
            after = (found[-1].ts_event, found[-1].trade_id)

    return await csv_answer("fills", FILL_COLUMNS, pages())


@router.get("/positions.csv", response_class=StreamingResponse)
async def positions_csv(access: Accessed, who: ReadRight) -> StreamingResponse:
    """The positions as CSV."""
    return await csv_answer("positions", tuple(PositionView.__annotations__), _one_page(access.state.position_views()))


@router.get("/equity/curve.csv", responses=STORE_AWAY, response_class=StreamingResponse)
async def equity_curve_csv(access: Accessed, who: ReadRight, strategy_id: StrategyFilter = None) -> StreamingResponse:
    """The newest 5,000 points of the equity curves as CSV, oldest first."""
    found = await access.queries.equity_curve(strategy_id, limit=5_000)
    rows = [stored_equity_point(point) for point in found]
    return await csv_answer("equity", tuple(EquityPointView.__annotations__), _one_page(rows))


@router.get("/positions")
async def positions(access: Accessed, who: ReadRight) -> list[PositionView]:
    """Net positions by strategy and instrument, marked at the middle of the book."""
    return access.state.position_views()


@router.get("/balances")
async def balances(access: Accessed, who: ReadRight) -> list[BalanceView]:
    """Balances as the venue states them."""
    return access.state.balance_views()


@router.get("/equity")
async def equity(access: Accessed, who: ReadRight) -> list[EquityView]:
    """Profit and loss of each strategy's book at the latest marks."""
    return access.state.equity_views()


@router.get("/equity/curve", responses=STORE_AWAY)
async def equity_curve(
    access: Accessed,
    who: ReadRight,
    strategy_id: StrategyFilter = None,
    limit: Annotated[int, Query(ge=1, le=5_000)] = 1_000,
) -> list[EquityPointView]:
    """The newest points of the equity curves, of this run and earlier ones, oldest first."""
    return [stored_equity_point(point) for point in await access.queries.equity_curve(strategy_id, limit=limit)]


@router.get("/trading-states")
async def trading_states(access: Accessed, who: ReadRight) -> list[TradingStateView]:
    """Every scope that was given a trading state. A scope that is not listed is ACTIVE."""
    return access.state.trading_state_views()


async def find_order(access: Access, client_order_id: str) -> Order:
    """An order from memory, else from the store, else 404."""
    known = access.state.ledger.orders.get(ClientOrderId(client_order_id))
    if known is not None:
        return known
    stored = await access.queries.orders_by_id([client_order_id])
    if not stored:
        raise HTTPException(404, f"order {client_order_id!r} is not known")
    return stored[0]


def _views(access: Access, found: list[Order]) -> list[OrderView]:
    return [order_view(order, access.state.instrument(order.instrument_id)) for order in found]


def _after(cursor: str | None) -> Cursor | None:
    return decode_cursor(cursor) if cursor else None


def _fill_views(access: Access, found: list[SeenFill]) -> list[FillView]:
    return [fill_view(fill, access.state.instrument(fill.instrument_id)) for fill in found]


async def _one_page(rows: Rows) -> AsyncIterator[Rows]:
    yield rows
