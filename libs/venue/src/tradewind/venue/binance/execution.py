"""One Binance spot account: orders, questions and the private stream.

It starts no task. The private stream's reader does the upkeep once a second on its way: open connections that are
missing, keep idle ones and the listen key alive, learn the venue's time. Who reads no stream still trades: an order
opens a connection when there is none.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from picows import WSError

from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, VenueOrderId
from tradewind.venue.adapter import (
    NewOrder,
    PreparedOrder,
    RateLimited,
    VenueError,
    VenueRejected,
    VenueUnavailable,
    nothing_to_ask,
)
from tradewind.venue.backoff import Backoff
from tradewind.venue.binance.account_queries import LISTEN_KEY_WEIGHT, AccountQueries
from tradewind.venue.binance.http_connection import HttpAnswer
from tradewind.venue.binance.namesakes import Namesakes
from tradewind.venue.binance.order_entry import OrderEntry
from tradewind.venue.binance.rest import BinanceRest
from tradewind.venue.binance.rest_answers import RestAnswers
from tradewind.venue.binance.signing import RECV_WINDOW_MS, encode_query
from tradewind.venue.binance.user_stream import StreamBroken, UserStream
from tradewind.venue.reports import (
    OrderStatusReport,
    StreamEvent,
    StreamInterrupted,
    StreamResumed,
)
from tradewind.venue.request_budget import RequestClass

_log: Final = logging.getLogger(__name__)

VIEWS_LAG_S: Final = 2.0
"""For so long after it took an order the venue's queries may not show it."""
UPKEEP_EVERY_S: Final = 1.0
KEEP_ALIVE_EVERY_S: Final = 30 * 60.0
"""The venue ends a stream whose key was not renewed for 60 minutes."""
LEARN_TIME_EVERY_S: Final = 10 * 60.0
UPKEEP_TIMEOUT_S: Final = 1.0
FIRST_RECONNECT_S: Final = 0.25
LONGEST_RECONNECT_S: Final = 30.0
CALM_S: Final = 30.0
LISTEN_KEY_PATH: Final = "/api/v3/userDataStream"


def visibility_delay(receive_window_s: float) -> float:
    """A request that is late on its way may be taken until its receive window has passed: only then absence counts."""
    return receive_window_s + VIEWS_LAG_S


class BinanceExecutionClient(RestAnswers):
    """See ``ExecutionClient``."""

    def __init__(
        self,
        account_id: AccountId,
        queries: AccountQueries,
        entry: OrderEntry,
        rest: BinanceRest,
        stream_url: str,
        *,
        visibility_delay_s: float = visibility_delay(RECV_WINDOW_MS / 1_000),
        ssl_context: ssl.SSLContext | None = None,
        names: Namesakes | None = None,
    ) -> None:
        super().__init__(account_id, queries, visibility_delay_s)
        self._names = names or Namesakes()
        self._entry = entry
        self._rest = rest
        self._stream_url = stream_url.rstrip("/")
        self._ssl_context = ssl_context
        self._refill_backoff = Backoff(FIRST_RECONNECT_S, LONGEST_RECONNECT_S)
        self._next_refill_s = 0.0
        self._next_learn_s = 0.0
        self._next_keep_alive_s = 0.0
        self._listen_key = ""
        self._listen_key_lost = False

    async def connect(self) -> None:
        """Check the venue's clock, the instruments and the key, and open the order connections.

        Raises:
            VenueUnavailable: the venue does not answer; try again later.
            VenueRejected: it refuses the key or a symbol; the message says what to change.
        """
        await self._rest.learn_time()
        self._next_learn_s = asyncio.get_running_loop().time() + LEARN_TIME_EVERY_S
        await self._queries.instruments()
        await self._queries.balances()
        try:
            await self._entry.pool.refill()
        except OSError as error:
            raise VenueUnavailable(f"the order connections cannot be opened: {error}") from error

    def prepare_order(self, order: NewOrder) -> PreparedOrder:
        """See ``ExecutionClient.prepare_order``.

        Raises:
            VenueRejected: the venue has no such order or instrument; nothing was sent.
        """
        return self._entry.prepare(order, self._queries.instrument(order.instrument_id))

    async def cancel_order(
        self,
        instrument_id: InstrumentId,
        client_order_id: ClientOrderId,
        on_first_byte: Callable[[], None] = nothing_to_ask,
        venue_order_id: VenueOrderId | None = None,
    ) -> Sequence[OrderStatusReport]:
        """See ``ExecutionClient.cancel_order``. VenueUnavailable: nothing was sent."""
        instrument = self._queries.instrument(instrument_id)
        return [await self._entry.cancel(instrument, client_order_id, on_first_byte, venue_order_id)]

    async def close(self) -> None:
        """Close all connections. The listen key is left: another process may read the same stream."""
        await self._entry.pool.close()
        await self._rest.close()

    # -- the private stream ----------------------------------------------------------------------------------------

    async def stream(self) -> AsyncIterator[StreamEvent]:
        """The private stream, for ever: StreamResumed, reports, and StreamInterrupted at each break.

        Read it in one task, and close it (``contextlib.aclosing``) if you stop before that task is cancelled.
        """
        backoff = Backoff(FIRST_RECONNECT_S, LONGEST_RECONNECT_S)
        loop = asyncio.get_running_loop()
        told = False
        while True:
            began_s = loop.time()
            user_stream = UserStream(self.account_id, self._queries.known_instrument, names=self._names)
            try:
                await self._open(user_stream)
                yield StreamResumed(account_id=self.account_id)
                told = False
                while True:
                    for report in await user_stream.next_reports(UPKEEP_EVERY_S):
                        yield report
                    await self._upkeep()
            except (VenueError, OSError, WSError) as error:
                reason = str(error) or type(error).__name__
            finally:
                user_stream.close()
            if not told:
                yield StreamInterrupted(account_id=self.account_id, reason=reason)
                told = True
            if loop.time() - began_s > CALM_S:
                backoff.reset()
            await asyncio.sleep(backoff.next_s())

    async def _open(self, user_stream: UserStream) -> None:
        self._listen_key = await self._queries.listen_key()
        self._listen_key_lost = False
        self._next_keep_alive_s = asyncio.get_running_loop().time() + KEEP_ALIVE_EVERY_S
        await user_stream.open(f"{self._stream_url}/ws/{self._listen_key}", self._ssl_context)

    async def _upkeep(self) -> None:
        """Cheap when nothing is due. What must wait for the venue waits at most UPKEEP_TIMEOUT_S.

        Raises:
            StreamBroken: the listen key is gone.
        """
        now_s = asyncio.get_running_loop().time()
        if self._listen_key_lost:
            raise StreamBroken("the venue does not know the listen key any more")
        if now_s >= self._next_keep_alive_s:
            await self._keep_alive(now_s)
        await self._entry.keep_warm(now_s)
        if self._entry.pool.missing > 0 and now_s >= self._next_refill_s:
            await self._refill(now_s)
        if self._entry.clock_is_off or now_s >= self._next_learn_s:
            await self._learn_time(now_s)

    async def _keep_alive(self, now_s: float) -> None:
        try:
            await self._entry.limits.take(RequestClass.QUERY, LISTEN_KEY_WEIGHT, patience_s=0.0)
        except RateLimited:
            self._next_keep_alive_s = now_s + UPKEEP_EVERY_S
            return
        query = encode_query({"listenKey": self._listen_key})
        request = self._entry.request("PUT", LISTEN_KEY_PATH, query, signed=False)
        sent = self._entry.pool.fire(request, self._entry.answer_timeout_s, self._kept_alive)
        self._next_keep_alive_s = now_s + (KEEP_ALIVE_EVERY_S if sent else UPKEEP_EVERY_S)

    def _kept_alive(self, answer: HttpAnswer | None) -> None:
        if answer is None or answer.status >= 500 or answer.status in (418, 429):
            self._next_keep_alive_s = 0.0  # the key lives for another half hour: ask again at the next upkeep
        elif answer.status != 200:
            self._listen_key_lost = True

    async def _refill(self, now_s: float) -> None:
        try:
            async with asyncio.timeout(UPKEEP_TIMEOUT_S):
                await self._entry.pool.refill()
            self._refill_backoff.reset()
        except OSError as error:
            self._next_refill_s = now_s + self._refill_backoff.next_s()
            _log.warning("order connections are missing and cannot be opened: %s", error or type(error).__name__)

    async def _learn_time(self, now_s: float) -> None:
        self._next_learn_s = now_s + LEARN_TIME_EVERY_S
        self._entry.clock_is_off = False
        try:
            async with asyncio.timeout(UPKEEP_TIMEOUT_S):
                await self._rest.learn_time()
        except (VenueUnavailable, VenueRejected, TimeoutError) as error:
            self._next_learn_s = now_s + CALM_S
            _log.warning("the venue's time cannot be learned: %s", error or type(error).__name__)
