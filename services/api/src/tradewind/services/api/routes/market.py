"""REST: instruments and books, from memory."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, HTTPException, Path, Query

from tradewind.model.identifiers import InstrumentId
from tradewind.services.api.routes.access import Accessed
from tradewind.services.api.routes.authorization import NOT_ALLOWED, ReadRight
from tradewind.services.api.stream.parts import DEFAULT_DEPTH, DEFAULT_INTERVAL
from tradewind.services.api.stream.streaming import MAX_DEPTH
from tradewind.services.api.view_model.bars import INTERVALS
from tradewind.services.api.view_model.market_view import MarketView, instrument_view
from tradewind.services.api.view_model.state import MAX_TIME_NS
from tradewind.services.api.view_model.views import (
    BarPage,
    BookView,
    InstrumentView,
    PriceView,
    Problem,
    Responses,
    TradeView,
)
from tradewind.store.database import DatabaseUnavailable

router: Final = APIRouter(tags=["market"], responses=NOT_ALLOWED)
InstrumentPath = Annotated[str, Path(min_length=1, max_length=64)]
Interval = Literal["1s", "1m", "5m", "15m", "1h", "1d"]
NOT_KNOWN: Final[Responses] = {404: {"model": Problem, "description": "No such instrument"}}


def market_of(access: Accessed, instrument_id: str) -> MarketView:
    """The market of an instrument, or 404."""
    market = access.state.markets.get(InstrumentId(instrument_id))
    if market is None:
        raise HTTPException(404, f"instrument {instrument_id!r} is not known; /api/v1/instruments lists all that are")
    return market


@router.get("/instruments")
async def instruments(access: Accessed, who: ReadRight) -> list[InstrumentView]:
    """What can be traded."""
    return [instrument_view(market.instrument) for market in access.state.markets.values()]


@router.get("/prices")
async def prices(access: Accessed, who: ReadRight) -> list[PriceView]:
    """Best bid, best ask, last print and feed state of every instrument."""
    return [market.price_view() for market in access.state.markets.values()]


@router.get("/book/{instrument_id}", responses=NOT_KNOWN)
async def book(
    access: Accessed,
    who: ReadRight,
    instrument_id: InstrumentPath,
    depth: Annotated[int, Query(ge=1, le=MAX_DEPTH)] = DEFAULT_DEPTH,
) -> BookView:
    """The best levels of each side."""
    return market_of(access, instrument_id).book_view(depth)


@router.get("/bars/{instrument_id}", responses=NOT_KNOWN)
async def bars(
    access: Accessed,
    who: ReadRight,
    instrument_id: InstrumentPath,
    interval: Interval = DEFAULT_INTERVAL,
    before: Annotated[
        str | None, Query(pattern=r"^[0-9]{1,19}$", description="ns; the last bar begins before it")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 500,
) -> BarPage:
    """Bars of the market's prints, oldest first: of the store, and the newest from memory."""
    market = market_of(access, instrument_id)
    before_ns = min(int(before), MAX_TIME_NS) if before else None
    try:
        stored = await access.queries.candles(market.number, INTERVALS[interval], before_ns=before_ns, limit=limit)
        source: Literal["store", "memory"] = "store"
    except DatabaseUnavailable:
        stored, source = [], "memory"
    rows = market.bars.merged(interval, stored, before_ns=before_ns, limit=limit)
    is_full = len(rows) == limit
    return BarPage(interval=interval, bars=rows, next_cursor=rows[0]["ts"] if is_full else None, source=source)


@router.get("/trades/{instrument_id}", responses=NOT_KNOWN)
async def trades(
    access: Accessed,
    who: ReadRight,
    instrument_id: InstrumentPath,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[TradeView]:
    """The newest prints of the market, newest first."""
    market = market_of(access, instrument_id)
    return [market.trade_view(record) for record in market.trades.newest(limit)]
