"""Lists of orders and fills as somebody asks for them: filters, search, pages, CSV; on a real PostgreSQL."""

import csv
import io
from decimal import Decimal
from typing import Any

import pytest
from api_platform import ACCOUNT, BTCUSDT, RunningApi, api_settings, bearer, instrument_named, running_api
from test_api_store import NOW, fill, order

from tradewind.model.enums import OrderSide, Outcome
from tradewind.model.identifiers import InstrumentId, StrategyId, VenueOrderId
from tradewind.model.order_status import OrderStatus
from tradewind.services.api.routes.csv_export import cell
from tradewind.store.database import Database
from tradewind.store.instruments import InstrumentRepository
from tradewind.store.leases import LeaseRepository
from tradewind.store.order_store import OrderBatch, OrderStore

ETHUSDT = InstrumentId("ETHUSDT.BINANCE")
COUNT = 1_230
MAKER = StrategyId("market-maker")


@pytest.fixture
async def filled(database: Database) -> Any:
    """An api over many orders of two strategies and instruments, and a fill for every tenth."""
    await InstrumentRepository(database).register([instrument_named(BTCUSDT), instrument_named(ETHUSDT)])
    lease = await LeaseRepository(database).acquire("execution:test", "test")
    assert lease is not None
    orders = [
        order(
            number,
            strategy_id=MAKER if number % 2 else StrategyId("ema-cross"),
            instrument_id=ETHUSDT if number % 5 == 0 else BTCUSDT,
            side=OrderSide.SELL if number % 3 == 0 else OrderSide.BUY,
            venue_order_id=VenueOrderId(f"v{number}"),
            ts_init=NOW + number,
            ts_last=NOW + number,
        )
        for number in range(COUNT)
    ]
    orders.append(order(9_001, status=OrderStatus.SUBMITTED, outcome=Outcome.UNKNOWN, unknown_since=NOW, reason="=1+1"))
    batch = OrderBatch(new_orders=orders, fills=[fill(number) for number in range(0, COUNT, 10)])
    await OrderStore(database, ACCOUNT).commit(batch, lease=lease.name, epoch=lease.epoch, now_ns=NOW)
    async with running_api(database, api_settings()) as api:
        await api.eventually("/api/v1/instruments", lambda rows: len(rows) == 2)
        await api.eventually("/api/v1/orders?status=open", lambda page: page["orders"])
        yield api


async def ids(api: RunningApi, query: str) -> list[str]:
    """Ids of all pages of a list of orders."""
    found: list[str] = []
    cursor = ""
    while True:
        status, page = await api.get(f"/api/v1/orders?{query}&limit=500{cursor}")
        assert status == 200, page
        found += [row["client_order_id"] for row in page["orders"]]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


async def rows_of(api: RunningApi, path: str) -> list[dict[str, str]]:
    """A list as CSV."""
    async with api.http.get(f"{api.origin}/api/v1{path}", headers=bearer("vera")) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert "attachment" in answer.headers["Content-Disposition"]
        return list(csv.DictReader(io.StringIO(await answer.text(), newline="")))


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("strategy_id=market-maker", lambda number: number % 2 == 1),
        (f"instrument_id={ETHUSDT}&side=SELL", lambda number: number % 15 == 0),
        (f"since={NOW + 100}&until={NOW + 110}", lambda number: 100 <= number < 110),
        ("search=ema-cross-1-012&status=CANCELED", lambda number: 120 <= number < 130),
        ("search=v77", lambda number: number == 77),
        ("search=story-78", lambda number: number == 78),
        ("search=%25", lambda number: False),
        ("status=UNKNOWN", lambda number: number == 9_001),
        ("status=open&search=ema", lambda number: number == 9_001),
        ("status=open", lambda number: number == 9_001),
    ],
)
async def test_filters_choose_what_they_say(filled: RunningApi, query: str, wanted: Any) -> None:
    numbers = [number for number in (*range(COUNT), 9_001) if wanted(number)]
    if "until" in query or "side" in query or "strategy" in query:
        numbers = [number for number in numbers if number != 9_001]
    assert sorted(await ids(filled, query)) == [f"ema-cross-1-{number:04d}" for number in numbers]


async def test_csv_holds_every_row_once_and_the_same_as_the_pages(filled: RunningApi) -> None:
    rows = await rows_of(filled, "/orders.csv")
    assert len(rows) == len({row["client_order_id"] for row in rows}) == COUNT + 1
    [unknown] = [row for row in rows if row["outcome"] == "UNKNOWN"]
    assert unknown["reason"] == "'=1+1"
    some = await rows_of(filled, "/orders.csv?strategy_id=market-maker")
    assert [row["client_order_id"] for row in some] == await ids(filled, "strategy_id=market-maker")
    fills = await rows_of(filled, "/fills.csv?search=t0100")
    assert [(row["trade_id"], Decimal(row["size"])) for row in fills] == [("t0100", Decimal("0.001"))]
    assert len(await rows_of(filled, "/fills.csv")) == COUNT // 10
    for path in ("/positions.csv", "/equity/curve.csv"):
        assert await rows_of(filled, path) == []


@pytest.mark.parametrize(
    "query",
    ["side=buy", "since=-1", "since=1e9", "until=x", "search=", "search=a%20b", "status=open2", "instrument_id="],
)
async def test_a_filter_of_a_wrong_form_is_refused(filled: RunningApi, query: str) -> None:
    for path in ("/orders", "/orders.csv"):
        status, problem = await filled.get(f"/api/v1{path}?{query}")
        assert status == 422
        assert query.partition("=")[0] in problem["detail"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        ("-0.5", "-0.5"),
        ("+1", "+1"),
        ("-1+2", "'-1+2"),
        ("@x", "'@x"),
        ("=1", "'=1"),
        (7, "7"),
    ],
)
def test_no_cell_is_a_formula(value: Any, text: str) -> None:
    assert cell(value) == text


async def test_bars_come_from_the_store_and_are_bounded(filled: RunningApi) -> None:
    status, page = await filled.get(f"/api/v1/bars/{BTCUSDT}?interval=1m")
    assert (status, page) == (200, {"interval": "1m", "bars": [], "next_cursor": None, "source": "store"})
    for query in ("interval=7m", "limit=0", "limit=1001", "before=x"):
        assert (await filled.get(f"/api/v1/bars/{BTCUSDT}?{query}"))[0] == 422
    assert (await filled.get("/api/v1/bars/NOTHING.HERE"))[0] == 404
