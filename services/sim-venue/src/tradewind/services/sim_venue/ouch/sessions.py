"""The venue's OUCH port: one session for the one account, for ever, each message in the record before it is told.

Order of requests: as they came, each finished (and in the record) before the next. The session's messages are read back
from the record, so a client may have them again from number 1 after any crash; nothing of them is kept in memory. One
client is in at a time: a login ends the one before it, and what that one sent and is not executed by then never will
be. So what a client does not find in the replay after its login does not exist.
"""

import asyncio
import time
from typing import Any, Final

import msgspec
from structlog.typing import FilteringBoundLogger

from tradewind.services.sim_venue.changes import Changes
from tradewind.services.sim_venue.exchange import Exchange
from tradewind.services.sim_venue.ledger_file import LedgerFile
from tradewind.services.sim_venue.ouch import orders
from tradewind.services.sim_venue.ouch.orders import NotTaken
from tradewind.services.sim_venue.refusals import Refused
from tradewind.services.sim_venue.soup.message_store import Waiters
from tradewind.services.sim_venue.soup.server import Dropped, SoupClient, SoupLimits, SoupServer
from tradewind.venue.itch.days import midnight_before
from tradewind.venue.itch.soupbintcp import debug, sequenced
from tradewind.venue.ouch.messages import (
    NANOSECONDS_OF_DAY,
    CancelOrder,
    EnterOrder,
    OuchError,
    Outbound,
    Rejected,
    read_inbound,
    write_outbound,
)

SESSION: Final = "OUCH"
PORT_VARIABLE: Final = "TRADEWIND_SIM_VENUE_OUCH_PORT"
_BYTES_A_MESSAGE: Final = 32
"""The shortest; says how many rows a read may ask for."""
_EVENTS: Final = msgspec.json.Decoder()


class OuchSession:
    """See ``SoupSession``: the messages as the record has them."""

    ended = False

    def __init__(self, ledger: LedgerFile) -> None:
        self.name = SESSION
        self._ledger = ledger
        self._waiters = Waiters()
        self._told = ledger.next_ouch_sequence
        """The number after the last one that is in the record."""

    @property
    def next_sequence(self) -> int:
        """See ``SoupSession``."""
        return self._told

    def grow(self, next_sequence: int) -> None:
        """The record has the messages before this number."""
        self._told = max(self._told, next_sequence)
        self._waiters.wake()

    async def read(self, sequence: int, most_bytes: int) -> tuple[bytes, int]:
        """See ``SoupSession``."""
        if sequence >= self._told:
            return b"", sequence
        messages = await self._ledger.ouch_messages(sequence, most_bytes // _BYTES_A_MESSAGE)
        return b"".join(map(sequenced, messages)), sequence + len(messages)

    async def more(self, sequence: int) -> None:
        """See ``SoupSession``."""
        while sequence >= self._told:
            await self._waiters.wait()


class OuchDesk:
    """Takes orders over OUCH and tells what becomes of them. ``run`` owns the port."""

    def __init__(
        self,
        account: str,
        credentials: tuple[str, str],
        exchange: Exchange,
        ledger: LedgerFile,
        log: FilteringBoundLogger,
        limits: SoupLimits,
    ) -> None:
        self._account = account
        self._exchange = exchange
        self._ledger = ledger
        self._log = log
        self._entering: EnterOrder | None = None
        self._tokens: dict[int, str] = ledger.open_ouch_orders()
        """Of open orders, by order id."""
        self._next_sequence = ledger.next_ouch_sequence
        self._one_at_a_time = asyncio.Lock()
        self.session = OuchSession(ledger)
        self.server = SoupServer(
            PORT_VARIABLE, credentials, lambda: self.session, log, limits, take=self._take, settle=self._settle
        )

    async def run(self, host: str, port: int) -> None:
        """Listen until cancelled. Raises StartRefused."""
        await self.server.run(host, port)

    def note(self, changes: Changes) -> None:
        """Add what the session says of a step of the exchange to that step, before it is written."""
        for account, message in changes.messages:
            if account != self._account or not (self._tokens or self._entering):
                continue
            event = _EVENTS.decode(message)
            if event["e"] == "executionReport":
                self._note(event, changes)

    def delivered(self) -> None:
        """Steps are in the record."""
        self.session.grow(self._ledger.next_ouch_sequence)

    def _note(self, event: dict[str, Any], changes: Changes) -> None:
        order_id, entered = event["i"], self._entering
        if entered is not None and event["x"] == "NEW" and event["c"] == entered.token:
            self._entering = None
            self._tokens[order_id] = entered.token
            changes.ouch_tokens.append((entered.token, order_id))
            self._say(orders.accepted(entered, order_id, _time_ns()), changes)
            return
        token = self._tokens.get(order_id)
        if token is None:
            return
        step = self._exchange.listings[event["s"]].step
        makes = orders.executed if event["x"] == "TRADE" else orders.canceled
        self._say(makes(event, token, step, _time_ns()), changes)
        if event["X"] not in ("NEW", "PARTIALLY_FILLED"):
            del self._tokens[order_id]

    def _say(self, message: Outbound, changes: Changes) -> None:
        changes.ouch_messages.append((self._next_sequence, write_outbound(message)))
        self._next_sequence += 1

    async def _settle(self) -> None:
        """Until nothing of an earlier client is under way any more."""
        async with self._one_at_a_time:
            await self._ledger.written()
            self.delivered()

    async def _take(self, client: SoupClient, payload: bytes) -> None:
        try:
            message = read_inbound(payload)
        except OuchError as error:
            client.writer.write(debug(str(error)))
            raise Dropped(f"a message that is no OUCH 4.2: {error}") from None
        async with self._one_at_a_time:
            if isinstance(message, EnterOrder):
                await self._enter(client, message)
            elif not client.gone:
                self._cancel(client, message)
            await self._ledger.written()
            self.delivered()

    async def _enter(self, client: SoupClient, entered: EnterOrder) -> None:
        # A token that was used before is passed over in silence: that is how a client may repeat itself without harm.
        if await self._ledger.knows_ouch_token(entered.token) or client.gone:
            return
        try:
            if self._ledger.overfull:
                raise NotTaken("O", "the venue is overloaded; try again later")
            request = orders.order_request(self._exchange, entered)
            self._entering = entered
            self._exchange.place(self._account, request)
        except NotTaken as error:
            self._reject(client, entered, error.reason, str(error))
        except Refused as error:
            self._reject(client, entered, orders.refused_reason(error), f"{error.code} {error.message}")
        finally:
            self._entering = None

    def _reject(self, client: SoupClient, entered: EnterOrder, reason: str, text: str) -> None:
        changes = Changes([], [], {}, {}, [])
        changes.ouch_tokens.append((entered.token, 0))
        self._say(Rejected(time_ns=_time_ns(), token=entered.token, reason=reason), changes)
        self._ledger.append(changes)
        client.writer.write(debug(f"{entered.token} is rejected: {text}"))

    def _cancel(self, client: SoupClient, message: CancelOrder) -> None:
        """A cancel of what is not open is passed over in silence, as the protocol wants it."""
        order_id = next((each for each, token in self._tokens.items() if token == message.token), None)
        if order_id is None:
            return
        if message.shares:
            client.writer.write(debug(f"{message.token}: an order is canceled as a whole here, with 0 shares"))
            return
        order = self._exchange.open_orders[order_id]
        self._exchange.cancel(order, f"cancel-{message.token}")


def _time_ns() -> int:
    now_ns = time.time_ns()
    return (now_ns - midnight_before(now_ns)) % NANOSECONDS_OF_DAY
