"""One execution service as a process of its own, which gives itself orders and cancels as a busy strategy would.

``python -m recovery.execution_process DSN REST_PORT STREAM_PORT NAME``: its orders are called NAME-1-1, NAME-1-2, ...;
they rest far below the market, and each is cancelled a little later. It ends on SIGTERM.
"""

import asyncio
import signal
import sys
import time
from decimal import Decimal
from typing import Any, Final

from recovery.kit import platform_of
from tradewind.bus.interface import Bus
from tradewind.model.enums import OrderSide, OrderType
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.runtime.service import ServiceKind
from tradewind.runtime.testing import running, service_context
from tradewind.services.execution import service
from tradewind.services.execution.settings import Settings
from tradewind.store.database import Database
from tradewind.wire.commands import CancelOrder, SubmitOrder
from tradewind.wire.topics import ORDERS_COMMANDS

ACCOUNT: Final = AccountId("BINANCE-main")
SETTINGS: Final = Settings(
    max_open_orders=1_000,
    max_open_orders_per_instrument=1_000,
    max_account_notional=Decimal(10_000_000),
    max_instrument_notional=Decimal(10_000_000),
    lease_duration_s=1.5,
    lease_grace_s=0.5,
    send_margin_s=0.5,
    inflight_check_s=0.3,
    reconcile_every_s=2.0,
)
_EVERY_S: Final = 0.01
_CANCEL_AFTER: Final = 15


async def main(dsn: str, rest_port: int, stream_port: int, name: str) -> None:
    """Run until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    platform = platform_of(rest_port, stream_port)
    kind = ServiceKind.ORDER_PATH
    async with (
        Database(dsn) as database,
        service_context("execution", kind, SETTINGS, database, platform=platform) as context,
        running(service.SERVICE, context),
    ):
        feeding = asyncio.ensure_future(feed(context.order_bus, name))
        await ended.wait()
        feeding.cancel()
        await asyncio.wait([feeding])


async def feed(bus: Bus, name: str) -> None:
    """Orders and their cancels, for ever; a full bus holds it back."""
    number = 0
    while True:
        number += 1
        await bus.publish(ORDERS_COMMANDS, ACCOUNT, order(name, number))
        if number > _CANCEL_AFTER:
            await bus.publish(ORDERS_COMMANDS, ACCOUNT, cancel(name, number - _CANCEL_AFTER))
        await asyncio.sleep(_EVERY_S)


def order(name: str, number: int) -> SubmitOrder:
    """Buy 0.0002 BTC at 30,000."""
    return SubmitOrder(
        **_story(f"submit-{name}-{number}"),
        strategy_id=StrategyId(name),
        account_id=ACCOUNT,
        client_order_id=ClientOrderId(f"{name}-1-{number}"),
        instrument_id=InstrumentId("BTCUSDT.BINANCE"),
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        size=20_000,
        price=3_000_000,
    )


def cancel(name: str, number: int) -> CancelOrder:
    """Cancel that."""
    return CancelOrder(
        **_story(f"cancel-{name}-{number}"),
        strategy_id=StrategyId(name),
        account_id=ACCOUNT,
        client_order_id=ClientOrderId(f"{name}-1-{number}"),
    )


def _story(event_id: str) -> dict[str, Any]:
    now_ns = time.time_ns()
    return {
        "event_id": event_id,
        "correlation_id": event_id,
        "causation_id": "",
        "ts_event": now_ns,
        "ts_init": now_ns,
    }


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
