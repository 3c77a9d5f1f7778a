"""REST: what was earned and lost, how deep it fell, and whether books, account and venue agree."""

from decimal import Decimal
from typing import Annotated, Final

from fastapi import APIRouter, Query

from tradewind.services.api.routes.access import Access, Accessed
from tradewind.services.api.routes.authorization import NOT_ALLOWED, ReadRight
from tradewind.services.api.routes.orders import STORE_AWAY
from tradewind.services.api.view_model.limit_views import LimitPage, limit_views
from tradewind.services.api.view_model.listing import StrategyFilter
from tradewind.services.api.view_model.portfolio_views import (
    BooksPage,
    BooksRow,
    By,
    DrawdownPage,
    ResultPage,
    drawdowns,
    results,
)
from tradewind.services.api.view_model.queries import FeeSum, LedgerTotal

router: Final = APIRouter(tags=["portfolio"], responses=NOT_ALLOWED)


@router.get("/portfolio", responses=STORE_AWAY)
async def portfolio(access: Accessed, who: ReadRight, by: By = "strategy") -> ResultPage:
    """Profit and loss by strategy, instrument or account, at the latest marks."""
    sums = await access.queries.fee_sums()
    fees = ((one.account_id, one.strategy_id, one.instrument_id, _in_quote(access, one)) for one in sums)
    return results(access.state, fees, by)


@router.get("/portfolio/drawdown", responses=STORE_AWAY)
async def drawdown(
    access: Accessed,
    who: ReadRight,
    strategy_id: StrategyFilter = None,
    limit: Annotated[int, Query(ge=1, le=5_000)] = 2_000,
) -> DrawdownPage:
    """The newest points of the equity of one strategy, or of all together, with the fall below the peak among them."""
    return drawdowns(await access.queries.equity_curve(strategy_id, limit=limit))


@router.get("/portfolio/reconciliation", responses=STORE_AWAY)
async def books(access: Accessed, who: ReadRight) -> BooksPage:
    """Each currency in our books, in the account as its fills make it, and at the venue."""
    totals = await access.queries.ledger_totals()
    compared = await access.queries.reconciliation()
    at_venue = {balance.currency: balance.total for balance in access.state.balances.values()}
    found = {one.currency for one in compared.differences} if compared else set()
    rows = [
        _books_row(currency, totals.get(currency), at_venue.get(currency), is_found=currency in found)
        for currency in sorted(totals.keys() | at_venue.keys())
    ]
    unfinished = access.state.ledger.open_orders()
    unknown = [str(order.client_order_id) for order in unfinished if order.unknown_since is not None]
    return BooksPage(at=str(compared.ts) if compared else None, rows=rows, orders_differing=unknown[:100])


@router.get("/limits")
async def limits(access: Accessed, who: ReadRight) -> LimitPage:
    """Every limit that is set, with what is used of it."""
    return LimitPage(rows=limit_views(access.state))


def _books_row(currency: str, totals: LedgerTotal | None, at_venue: Decimal | None, *, is_found: bool) -> BooksRow:
    difference = None if totals is None or at_venue is None else at_venue - totals.books
    # The venue's word and our books are of two moments; what differs and was not compared yet may be on its way.
    is_told = difference == 0 or is_found
    return BooksRow(
        currency=currency,
        books=_text(totals.books if totals else None),
        account=_text(totals.account if totals else None),
        venue=_text(at_venue),
        difference=_text(difference) if is_told else None,
    )


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _in_quote(access: Access, one: FeeSum) -> Decimal:
    instrument = access.state.instrument(one.instrument_id)
    if instrument is None or one.fee_currency == instrument.quote_currency:
        return one.fee
    # Paid in what was bought: worth its price at that fill.
    return one.fee_times_price.scaleb(-instrument.price_precision)
