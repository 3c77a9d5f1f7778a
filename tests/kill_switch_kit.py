"""Risk, execution and the simulated venue as they run together, each of which a test may end and start again.

The venue is reached over its real sockets; its own record, a file, says what was ever sent to it.
"""

import asyncio
import contextlib
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tradewind.bus.memory import MemoryBus
from tradewind.model.enums import KillStage, OrderSide, OrderType, TimeInForce, TradingState
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.logging import get_logger
from tradewind.runtime.service import Service, ServiceContext
from tradewind.runtime.settings import PlatformSettings
from tradewind.runtime.testing import service_context
from tradewind.runtime.venue_connecting import execution_client_of
from tradewind.services.api import service as api
from tradewind.services.api.settings import ApiSettings
from tradewind.services.execution import service as execution
from tradewind.services.execution.settings import Settings as ExecutionSettings
from tradewind.services.risk import service as risk
from tradewind.services.risk.settings import Settings as RiskSettings
from tradewind.services.sim_venue.faults.script_reading import script_path
from tradewind.services.sim_venue.server import SimVenue
from tradewind.services.sim_venue.settings import Settings as VenueSettings
from tradewind.store.database import Database
from tradewind.store.kill_switches import KillSwitch, KillSwitchRepository
from tradewind.store.order_store import OrderStore
from tradewind.wire.commands import EngageKillSwitch, ReleaseKillSwitch, SubmitOrder
from tradewind.wire.messages import EventIds, Message
from tradewind.wire.topics import ORDERS_COMMANDS, RISK_COMMANDS, dead_letters_of

ACCOUNT: Final = AccountId("BINANCE-main")
BTC: Final = InstrumentId("BTCUSDT.BINANCE")
KEY, SECRET = "test-key", "test-secret"
PATIENCE_S: Final = 45.0
PEOPLE: Final = ("anna", "rita")
"""Who may command the api service by a token: two, because nobody releases an own kill switch."""
VISIBILITY_S: Final = 0.6
EXECUTION: Final = ExecutionSettings(
    max_price_age_s=None,
    lease_duration_s=2.0,
    lease_grace_s=0.1,
    send_margin_s=0.5,  # the venue refuses what a busy machine brings later than this
    inflight_check_s=0.2,
    reconcile_every_s=1.0,
)
RISK: Final = RiskSettings(ask_every_s=0.1, watch_every_s=1.0, stuck_after_s=20.0)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():
            await asyncio.sleep(0.02)


def token_of(name: str) -> str:
    """The api token of somebody of PEOPLE."""
    return f"{name}-0123456789abcdef0123456789abcdef"


class Fate:
    """Lets the ``death``-th of what it is asked about hang for ever, before or after it was done; then it is armed no
    more. Who waits for ``dead`` and then ends the part has it die exactly there."""

    def __init__(self) -> None:
        self.dead = asyncio.Event()
        self._left = 0
        self._after = False

    def arm(self, death: int, *, after: bool) -> None:
        self.dead.clear()
        self._left, self._after = death, after

    async def meet(self, work: Awaitable[Any]) -> Any:
        self._left -= 1
        if self._left != 0:
            return await work
        if self._after:
            await work
        elif isinstance(work, Coroutine):
            work.close()
        self.dead.set()
        return await asyncio.Event().wait()


class MortalBus:
    """A bus whose publishing is in the hands of fate."""

    def __init__(self, bus: MemoryBus, fate: Fate) -> None:
        self._bus = bus
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def publish(self, *arguments: Any) -> None:
        await self._fate.meet(self._bus.publish(*arguments))


class MortalClient:
    """A venue client whose requests are in the hands of fate."""

    def __init__(self, client: Any, fate: Fate) -> None:
        self._client = client
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def cancel_order(self, *arguments: Any) -> Any:
        return await self._fate.meet(self._client.cancel_order(*arguments))

    async def order_status(self, *arguments: Any) -> Any:
        return await self._fate.meet(self._client.order_status(*arguments))

    async def mass_status(self, *arguments: Any) -> Any:
        return await self._fate.meet(self._client.mass_status(*arguments))

    def prepare_order(self, order: Any) -> "MortalRequest":
        return MortalRequest(self._client.prepare_order(order), self._fate)


class MortalRequest:
    """An order that may be the last thing its sender does."""

    def __init__(self, request: Any, fate: Fate) -> None:
        self._request = request
        self._fate = fate

    async def send(self, on_first_byte: Callable[[], None]) -> Any:
        return await self._fate.meet(self._request.send(on_first_byte))


class Part:
    """One service that may be ended at any moment, and started again."""

    def __init__(self, service: Service, settings: Any, desk: "Desk") -> None:
        self._service = service
        self._settings = settings
        self._desk = desk
        self._task: asyncio.Task[None] | None = None
        self.fate = Fate()
        self.context: ServiceContext | None = None

    async def start(self) -> None:
        ready = asyncio.Event()
        self._task = asyncio.create_task(self._run(ready))
        await ready.wait()

    async def end(self) -> None:
        """As sudden as it gets within one process: nothing more of it runs."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def ready(self) -> bool:
        return self.context is not None and self.context.health.ready

    async def _run(self, ready: asyncio.Event) -> None:
        name, kind = self._service.name, self._service.kind
        desk = self._desk
        mortal: Any = MortalBus(desk.bus, self.fate)
        async with service_context(
            name, kind, self._settings, desk.database, bus=desk.bus, platform=desk.platform
        ) as context:
            if self._service is risk.SERVICE:
                context.order_bus = mortal
            self.context = context
            ready.set()
            while True:  # as the supervisor does
                try:
                    await self._service.run(context)
                except Exception as error:
                    context.log.warning("service failed; started again", reason=repr(error))
                    await asyncio.sleep(0.1)


class Desk:
    """The platform, its venue, and what a test asks of them."""

    def __init__(self, database: Database, folder: Path, http: aiohttp.ClientSession) -> None:
        self.database = database
        self.bus = MemoryBus()
        self.platform = PlatformSettings()
        self.store = OrderStore(database, ACCOUNT)
        self.switches = KillSwitchRepository(database)
        self.risk = Part(risk.SERVICE, RISK, self)
        self.execution = Part(execution.SERVICE, EXECUTION, self)
        self.api: Part | None = None
        self._folder = folder
        self.http = http
        self._event_ids = EventIds()
        self._venue: asyncio.Task[None] | None = None
        self.venue: SimVenue

    # -- life ------------------------------------------------------------------------------------------------------

    async def start_venue(self, port: int = 0) -> None:
        settings = VenueSettings(port=port, seed=7, events_per_s=50.0)
        self.venue = SimVenue(settings, self._folder, KEY, SECRET, get_logger("sim-venue"))
        self._venue = asyncio.create_task(self.venue.run("127.0.0.1"))
        await asyncio.wait_for(self.venue.ready.wait(), PATIENCE_S)
        address = f"127.0.0.1:{self.venue.port}"
        self.platform = PlatformSettings(
            venue_rest_url=f"http://{address}",
            venue_stream_url=f"ws://{address}",
            venue_api_key=KEY,
            venue_api_secret=SECRET,
        )

    async def end_venue(self) -> None:
        if self._venue is not None:
            self._venue.cancel()
            await asyncio.wait([self._venue])
            self._venue = None

    async def start(self) -> None:
        await self.risk.start()
        await self.execution.start()
        await until(self.execution.ready)

    async def start_api(self, **settings: Any) -> str:
        """The api service; gives its address."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        tokens = " ".join(f"{name}:admin:{token_of(name)}" for name in PEOPLE)
        self.api = Part(api.SERVICE, ApiSettings(port=port, operator_tokens=tokens, **settings), self)
        await self.api.start()
        await until(self.api.ready)
        return f"http://127.0.0.1:{port}"

    async def end(self) -> None:
        if self.api is not None:
            await self.api.end()
        await self.risk.end()
        await self.execution.end()
        await self.end_venue()
        await self.bus.close()

    # -- by hand -----------------------------------------------------------------------------------------------------

    def identity(self) -> dict[str, Any]:
        event_id, now = self._event_ids(), time.time_ns()
        return {"event_id": event_id, "correlation_id": event_id, "causation_id": "", "ts_event": now, "ts_init": now}

    async def engage(self, scope: str, *, flatten: bool = False) -> EngageKillSwitch:
        command = EngageKillSwitch(scope=scope, flatten=flatten, actor="anna", why="drill", **self.identity())
        await self.bus.publish(RISK_COMMANDS, scope, command)
        return command

    async def release(self, scope: str, state: TradingState = TradingState.ACTIVE, *, force: bool = False) -> None:
        command = ReleaseKillSwitch(
            scope=scope, state=state, force=force, actor="anna", why="looked at it", **self.identity()
        )
        await self.bus.publish(RISK_COMMANDS, scope, command)

    async def refusals(self) -> list[Message]:
        letters = await self.bus.replay(dead_letters_of(RISK_COMMANDS.name), from_offset=0)
        return [letter.payload for letter in letters if isinstance(letter.payload, Message)]

    async def order(self, name: str, side: OrderSide, size: str, price: Decimal, **fields: Any) -> None:
        """``name`` begins with the strategy: `alpha-1-1`."""
        known: dict[str, Any] = {
            "strategy_id": StrategyId(name.split("-")[0]),
            "account_id": ACCOUNT,
            "client_order_id": ClientOrderId(name),
            "instrument_id": BTC,
            "side": side,
            "order_type": OrderType.LIMIT,
            "size": int(Decimal(size).scaleb(8)),
            "price": int(price.scaleb(2)),
            **self.identity(),
        }
        await self.bus.publish(ORDERS_COMMANDS, ACCOUNT, SubmitOrder(**(known | fields)))

    async def rest_order(self, name: str, size: str = "0.01") -> None:
        """An order far below the market, that rests."""
        await self.order(name, OrderSide.BUY, size, Decimal("30000"))
        await self.reaches(name, OrderStatus.ACCEPTED)

    async def hold(self, strategy: str, side: OrderSide, size: str) -> None:
        """A position, bought or sold at whatever it costs."""
        name = f"{strategy}-9-1"
        price = Decimal("90000") if side is OrderSide.BUY else Decimal("30000")
        await self.order(name, side, size, price, time_in_force=TimeInForce.IOC)
        await self.reaches(name, OrderStatus.FILLED)

    # -- what is so --------------------------------------------------------------------------------------------------

    async def reaches(self, name: str, status: OrderStatus) -> Any:
        async def there() -> bool:
            rows = await self.store.orders_by_id([ClientOrderId(name)])
            return bool(rows) and rows[0].status is status

        await until(there)
        return (await self.store.orders_by_id([ClientOrderId(name)]))[0]

    async def switch(self, scope: str = "firm") -> KillSwitch | None:
        return next((one for one in await self.switches.engaged() if one.scope == scope), None)

    async def comes_to(self, stage: KillStage, scope: str = "firm") -> KillSwitch:
        async def there() -> bool:
            switch = await self.switch(scope)
            return switch is not None and switch.stage is stage

        await until(there)
        found = await self.switch(scope)
        assert found is not None
        return found

    async def passed(self, kill_id: int) -> list[KillStage]:
        return [step.stage for step in await self.switches.history(kill_id)]

    async def positions(self) -> dict[str, int]:
        return {one.strategy_id: one.signed_size for one in await self.store.positions() if one.signed_size}

    def venue_orders(self, prefix: str = "") -> list[tuple[str, str]]:
        """Client id and state of every order that the venue ever took, from its own record."""
        with contextlib.closing(sqlite3.connect(f"file:{self.venue_file}?mode=ro", uri=True)) as record:
            rows = record.execute("SELECT client_order_id, state FROM orders ORDER BY order_id").fetchall()
        return [(name, state) for name, state in rows if name.startswith(prefix)]

    def resting(self) -> list[str]:
        return [name for name, state in self.venue_orders() if state in ("NEW", "PARTIALLY_FILLED")]

    @property
    def venue_file(self) -> Path:
        return self._folder / "sim-venue.sqlite3"

    async def books_add_up(self) -> bool:
        """The ledger that fills make is the ledger that the books make."""
        lines = await self.store.ledger()
        return bool(lines) and all(line.account_amount == line.books_amount for line in lines)

    # -- the venue lies ----------------------------------------------------------------------------------------------

    async def lies(self, *rules: dict[str, Any]) -> None:
        address = f"{self.platform.venue_rest_url}/sim/v1/faults"
        async with self.http.put(address, json={"seed": 1, "rules": list(rules)}) as answer:
            assert answer.status == 200, await answer.text()

    async def lies_like(self, script: str) -> None:
        """A script that comes with the venue."""
        headers = {"Content-Type": "application/toml"}
        address = f"{self.platform.venue_rest_url}/sim/v1/faults"
        async with self.http.put(address, data=script_path(script).read_bytes(), headers=headers) as answer:
            assert answer.status == 200, await answer.text()

    async def is_honest(self) -> None:
        async with self.http.delete(f"{self.platform.venue_rest_url}/sim/v1/faults") as answer:
            assert answer.status == 200


@contextlib.asynccontextmanager
async def desk_of(database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """A running platform over a venue of its own, whose queries are believed after a short while."""

    def client_of(*arguments: Any) -> Any:
        client = execution_client_of(*arguments)
        client.visibility_delay_s = VISIBILITY_S
        return MortalClient(client, desk.execution.fate)

    monkeypatch.setattr(execution, "execution_client_of", client_of)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as http:
        desk = Desk(database, folder, http)
        await desk.start_venue()
        try:
            await desk.start()
            yield desk
        finally:
            await desk.end()
