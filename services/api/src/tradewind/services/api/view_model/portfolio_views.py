"""Results put together by strategy, instrument or account; the depth of an equity curve; books, account and venue."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, Literal

from typing_extensions import TypedDict

from tradewind.services.api.view_model.order_views import money_text
from tradewind.services.api.view_model.state import ViewState
from tradewind.services.api.view_model.views import PositionView
from tradewind.store.equity import EquityPoint

By = Literal["strategy", "instrument", "account"]
TOTAL: Final = "total"
_KEYS: Final = {"strategy": "strategy_id", "instrument": "instrument_id", "account": "account_id"}


class ResultView(TypedDict):
    """One row in the quote currency. ``net_pnl`` is realized plus unrealized less fees. ``exposure`` is the sum of the
    absolute values of its positions; null, like ``unrealized_pnl``, while a price is not known."""

    key: str
    positions: int
    net_pnl: str | None
    realized_pnl: str
    unrealized_pnl: str | None
    fees: str
    exposure: str | None


class ResultPage(TypedDict):
    """All rows by key, and their sum."""

    rows: list[ResultView]
    total: ResultView


class DrawdownPoint(TypedDict):
    """The equity at a time, the highest that it was before, and how far it is below."""

    ts: str
    equity: str
    peak: str
    drawdown: str


class DrawdownPage(TypedDict):
    """The newest points, oldest first, and the deepest fall among them."""

    rows: list[DrawdownPoint]
    max_drawdown: str


class BooksRow(TypedDict):
    """One currency: the sum of our books, the account as opening balance and fills make it, what the venue last said.
    ``difference`` is venue less books; null while either is not known, or before they were compared."""

    currency: str
    books: str | None
    account: str | None
    venue: str | None
    difference: str | None


class BooksPage(TypedDict):
    """``at`` is when venue and books were last found to say something new; null before that."""

    at: str | None
    rows: list[BooksRow]
    orders_differing: list[str]


class _Sum:
    def __init__(self) -> None:
        self.positions = 0
        self.realized = Decimal(0)
        self.unrealized: Decimal | None = Decimal(0)
        self.exposure: Decimal | None = Decimal(0)
        self.fees = Decimal(0)

    def add(self, position: PositionView) -> None:
        size = Decimal(position["signed_size"])
        self.positions += bool(size)
        self.realized += Decimal(position["realized_pnl"])
        if position["unrealized_pnl"] is None or self.unrealized is None:
            self.unrealized = None
        else:
            self.unrealized += Decimal(position["unrealized_pnl"])
        if size and self.exposure is not None:
            mark = position["mark_price"]
            self.exposure = None if mark is None else self.exposure + abs(size) * Decimal(mark)

    def view(self, key: str) -> ResultView:
        unrealized = self.unrealized
        return ResultView(
            key=key,
            positions=self.positions,
            net_pnl=None if unrealized is None else money_text(self.realized + unrealized - self.fees),
            realized_pnl=money_text(self.realized),
            unrealized_pnl=None if unrealized is None else money_text(unrealized),
            fees=money_text(self.fees),
            exposure=None if self.exposure is None else money_text(self.exposure),
        )


Fees = Iterable[tuple[str, str, str, Decimal]]
"""Account, strategy, instrument, and the fees paid there in the quote currency."""


def results(state: ViewState, fees: Fees, by: By) -> ResultPage:
    """Positions at the latest marks, less the fees of all fills."""
    sums: defaultdict[str, _Sum] = defaultdict(_Sum)
    total = _Sum()
    for position in state.position_views():
        key = str(position[_KEYS[by]])  # type: ignore[literal-required]
        for one in (sums[key], total):
            one.add(position)
    for account_id, strategy_id, instrument_id, amount in fees:
        key = {"account": account_id, "strategy": strategy_id, "instrument": instrument_id}[by]
        for one in (sums[key], total):
            one.fees += amount
    return ResultPage(rows=[sums[key].view(key) for key in sorted(sums)], total=total.view(TOTAL))


def drawdowns(points: Iterable[EquityPoint]) -> DrawdownPage:
    """How far the sum of the curves, oldest point first, is below its peak. A curve counts with its latest value."""
    latest: dict[tuple[str, str], Decimal] = {}
    rows: list[DrawdownPoint] = []
    equity, peak, deepest = Decimal(0), Decimal(0), Decimal(0)
    for point in points:
        key = (point.account_id, point.strategy_id)
        value = point.realized_pnl + point.unrealized_pnl - point.fees
        equity += value - latest.get(key, Decimal(0))
        latest[key] = value
        peak = max(peak, equity)
        deepest = max(deepest, peak - equity)
        row = DrawdownPoint(
            ts=str(point.ts), equity=money_text(equity), peak=money_text(peak), drawdown=money_text(peak - equity)
        )
        if rows and rows[-1]["ts"] == row["ts"]:
            rows[-1] = row
        else:
            rows.append(row)
    return DrawdownPage(rows=rows, max_drawdown=money_text(deepest))
