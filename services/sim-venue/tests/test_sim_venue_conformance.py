"""Orders over several adapters against the conformance kit: the simulated venue behind links that can be broken."""

import socket
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from running_venue import KEY, SECRET, RunningVenue, start

from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId
from tradewind.services.sim_venue.settings import Settings
from tradewind.store.testing import missing
from tradewind.venue.adapter import ExecutionClient, NewOrder, OutcomeUnknown, VenueUnavailable
from tradewind.venue.adapters import VenueSettings
from tradewind.venue.conformance import EXECUTION_CHECKS, ExecutionCheck, ExecutionCounterpart, NotConforming, run_check
from tradewind.venue.fix.connecting import ADAPTER as FIX
from tradewind.venue.ouch.tokens import token_of


class SimulatedVenue(ExecutionCounterpart):
    """What both adapters have in common: orders of BTCUSDT in a book that stands still."""

    instrument_id = InstrumentId("BTCUSDT.SIM")
    secrets = (SECRET,)

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._running: RunningVenue | None = None

    async def start(self) -> None:
        given = Settings(port=0, seed=7, events_per_s=0.001, **self.more_settings())
        self._running = await start(given, self._folder / "data")
        await self.start_links(self._running.venue.port)

    async def stop(self) -> None:
        for link in {self.order_link, self.stream_link}:
            await link.stop()
        if self._running is not None:
            await self._running.stop()
            self._running = None

    def more_settings(self) -> dict[str, Any]:
        return {}

    async def start_links(self, port: int) -> None:
        raise NotImplementedError

    def _new(self, name: str, price: int | None, size: str = "0.001") -> NewOrder:
        return NewOrder(
            client_order_id=ClientOrderId(name),
            instrument_id=self.instrument_id,
            side=OrderSide.BUY,
            order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            size=int(Decimal(size).scaleb(8)),
            price=price,
        )

    def resting(self, name: str) -> NewOrder:
        return self._new(name, 40_000_00)

    def crossing(self, name: str) -> NewOrder:
        return self._new(name, None)

    def refused(self, name: str) -> NewOrder:
        return self._new(name, 40_000_00, "900")

    def name_at_venue(self, name: str) -> str:
        """What the venue calls an order of ours."""
        return name

    async def times_taken(self, name: str) -> int:
        assert self._running is not None
        asked = await self._running.signed("GET", "/api/v3/allOrders", symbol="BTCUSDT")
        assert asked.status == 200, asked.body
        return sum(order["clientOrderId"] == self.name_at_venue(name) for order in asked.body)

    async def limit_rate(self) -> None:
        """Somebody else of this account uses up the limit, which the adapter does not know."""
        assert self._running is not None
        for number in range(100):
            answer = await self._running.order(price="40000", quantity="0.001", newClientOrderId=f"else-{number}")
            if answer.status == 429:
                return
        raise AssertionError(answer.body)


class BinanceAccount(SimulatedVenue):
    """Orders over REST, the private stream over a WebSocket: two links to one port."""

    adapter = "binance"

    def more_settings(self) -> dict[str, Any]:
        return {"orders_per_10_s": 20}

    async def start_links(self, port: int) -> None:
        await self.order_link.start(port)
        await self.stream_link.start(port)

    def settings(self, *, wrong_key: bool = False) -> VenueSettings:
        return VenueSettings(
            venue="SIM",
            account="main",
            symbols="BTCUSDT",
            rest_url=f"http://127.0.0.1:{self.order_link.port}",
            stream_url=f"ws://127.0.0.1:{self.stream_link.port}",
            api_key=KEY,
            api_secret="wrong-secret-of-nobody" if wrong_key else SECRET,
        )


class FixAccount(SimulatedVenue):
    """One session for orders and reports: one link."""

    adapter = "fix"
    version = "FIX.4.4"
    exempt = {  # noqa: RUF012 - never changed
        "a_rate_limit_is_told_with_a_time": "FIX has no word for a rate limit; the venue's own text refuses the order",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.stream_link = self.order_link
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._fix_port = int(probe.getsockname()[1])
        self._rest_port = 0

    def more_settings(self) -> dict[str, Any]:
        return {"fix_port": self._fix_port}

    async def start_links(self, port: int) -> None:
        self._rest_port = port
        await self.order_link.start(self._fix_port)

    def settings(self, *, wrong_key: bool = False) -> VenueSettings:
        own = {
            "host": "127.0.0.1",
            "port": str(self.order_link.port),
            "folder": str(self._folder / "client"),
            "begin_string": self.version,
        }
        return VenueSettings(
            venue="SIM",
            account="main",
            symbols="BTCUSDT",
            rest_url=f"http://127.0.0.1:{self._rest_port}",
            stream_url=f"ws://127.0.0.1:{self._rest_port}",
            api_key=KEY,
            api_secret="wrong-secret-of-nobody" if wrong_key else SECRET,
            own=own,
        )


class OlderFixAccount(FixAccount):
    """The same over FIX 4.2."""

    version = "FIX.4.2"


class OuchAccount(FixAccount):
    """One session for orders and reports, on a port of its own, as with FIX."""

    adapter = "ouch"
    secrets = (SECRET, SECRET[:10])
    exempt = {  # noqa: RUF012 - never changed
        "a_rate_limit_is_told_with_a_time": "OUCH has no word for a rate limit; a letter of the venue says no",
    }

    def more_settings(self) -> dict[str, Any]:
        return {"ouch_port": self._fix_port}

    def settings(self, *, wrong_key: bool = False) -> VenueSettings:
        given = super().settings(wrong_key=wrong_key)
        own = {
            "address": f"127.0.0.1:{self.order_link.port}",
            "market_address": "127.0.0.1:1",
            "user": "DEMO",
            "password": given.api_secret[:10],
            "folder": str(self._folder / "client"),
        }
        return msgspec.structs.replace(given, own=own)

    def name_at_venue(self, name: str) -> str:
        return token_of(AccountId("SIM-main"), ClientOrderId(name))


COUNTERPARTS: tuple[type[SimulatedVenue], ...] = (BinanceAccount, FixAccount, OlderFixAccount, OuchAccount)


@pytest.mark.parametrize("account", COUNTERPARTS, ids=lambda account: account.__name__)
@pytest.mark.parametrize("check", EXECUTION_CHECKS, ids=lambda check: check.__name__)
async def test_execution_conforms(check: ExecutionCheck, account: type[SimulatedVenue], tmp_path: Path) -> None:
    if account.adapter == "fix" and (reason := FIX.missing()):
        missing("quickfix", reason)
    await run_check(check, lambda: account(tmp_path))


class Spoiled(BinanceAccount):
    """Its clients break a promise."""

    spoil: Callable[[Any], None]

    def make_client(self, *, wrong_key: bool = False) -> ExecutionClient:
        client = super().make_client(wrong_key=wrong_key)
        type(self).spoil(client)
        return client


def calling_it_refused(client: Any) -> None:
    """What is unknown is called a refusal, and someone above would send it again."""
    prepare = client.prepare_order

    def prepared(order: NewOrder) -> Any:
        made = prepare(order)

        class Wrong:
            async def send(self, on_first_byte: Callable[[], None]) -> Any:
                try:
                    return await made.send(on_first_byte)
                except OutcomeUnknown as error:
                    raise VenueUnavailable("try again") from error

        return Wrong()

    client.prepare_order = prepared


def sending_first(client: Any) -> None:
    """The commit is asked for after the write."""
    prepare = client.prepare_order

    def prepared(order: NewOrder) -> Any:
        made = prepare(order)

        class Wrong:
            async def send(self, on_first_byte: Callable[[], None]) -> Any:
                reports = await made.send(lambda: None)
                on_first_byte()
                return reports

        return Wrong()

    client.prepare_order = prepared


def answering_nothing(client: Any) -> None:
    """A question that failed has an empty answer."""

    async def none() -> tuple[()]:
        return ()

    client.open_orders = none


CHECKS = {check.__name__: check for check in EXECUTION_CHECKS}


@pytest.mark.parametrize(
    ("check", "spoil", "complaint"),
    [
        ("an_answer_that_is_lost_is_an_unknown_outcome", calling_it_refused, "must raise OutcomeUnknown"),
        ("a_write_that_is_forbidden_sends_nothing", sending_first, "rests"),
        ("a_question_to_a_venue_that_is_away_is_unavailable", answering_nothing, "must raise VenueUnavailable"),
        ("an_order_that_rests_is_acknowledged", answering_nothing, "open_orders has it"),
    ],
)
async def test_a_client_that_breaks_a_promise_is_found(
    check: str, spoil: Callable[[Any], None], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spoiled, "spoil", staticmethod(spoil), raising=False)
    with pytest.raises(NotConforming, match=complaint):
        await run_check(CHECKS[check], lambda: Spoiled(tmp_path))
