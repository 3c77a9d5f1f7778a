"""The line for people: made from the health board and the metrics, with rates between two looks."""

from tradewind.runtime.health import HealthBoard
from tradewind.runtime.metrics import Metrics, ProcessMetrics
from tradewind.runtime.platform_view import OwnProcessView
from tradewind.runtime.service import ServiceKind
from tradewind.runtime.status_line import FILLS, NET_PNL, ORDERS, RECORDS, PlatformStatus, duration


def test_the_line_tells_what_the_platform_does() -> None:
    board, metrics, now_s = HealthBoard(), ProcessMetrics(), 100.0
    line = PlatformStatus(OwnProcessView(board, metrics), clock=lambda: now_s)
    board.register("execution", ServiceKind.ORDER_PATH).set_ready()
    board.register("api", ServiceKind.EDGE)
    Metrics("market-data", metrics).counter(RECORDS, "Records").inc(30_000)
    Metrics("execution", metrics).counter(ORDERS, "Orders").inc(12)
    Metrics("execution", metrics).counter(FILLS, "Fills").inc(5)
    for strategy, pnl in (("ema-cross", 10.5), ("market-maker", -21.75)):
        Metrics("portfolio", metrics).gauge(NET_PNL, "Net profit and loss", strategy=strategy).set(pnl)
    now_s += 10.0
    assert line() == "up 0:00:10 | services 1/2 ready | 3,000 records/s | orders 12 | fills 5 | P&L -11.25"
    now_s += 1.0
    assert "| 0 records/s |" in line()


def test_a_look_without_time_between_has_no_rate() -> None:
    line = PlatformStatus(OwnProcessView(HealthBoard(), ProcessMetrics()), clock=lambda: 5.0)
    assert line() == "up 0:00:00 | services 0/0 ready | 0 records/s | orders 0 | fills 0 | P&L +0.00"


def test_durations_go_on_past_a_day() -> None:
    assert [duration(s) for s in (0, 59.9, 61, 3_600, 90_061)] == [
        "0:00:00",
        "0:00:59",
        "0:01:01",
        "1:00:00",
        "25:01:01",
    ]
