"""Market data of Binance spot: combined streams, book sync with REST snapshots, reconnects.

``run`` owns one task per book that takes snapshots, one that watches for silence, and nothing else; they live within a
task group and end with the connection. Frames are handled in the socket's callback (``market_session``).
"""

import asyncio
import dataclasses
import logging
import ssl
from collections.abc import Sequence
from typing import Final

from picows import WSError, WSTransport, ws_connect

from tradewind.model.identifiers import InstrumentId, Venue
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import FeedHandler, VenueError
from tradewind.venue.backoff import Backoff
from tradewind.venue.binance.market_session import FeedStatistics, InstrumentFeed, MarketSession
from tradewind.venue.binance.rest import BinanceRest
from tradewind_native.frames import MalformedFrame
from tradewind_native.order_book import OrderBook

_log: Final = logging.getLogger(__name__)

STREAMS: Final = ("depth@100ms", "bookTicker", "trade")
FIRST_RECONNECT_S: Final = 0.25
LONGEST_RECONNECT_S: Final = 30.0
FIRST_RESYNC_S: Final = 0.1
LONGEST_RESYNC_S: Final = 30.0
READ_BUFFER_BYTES: Final = 256 * 1024
CALM_S: Final = 30.0
"""A connection or a book that held for so long makes the next back-off begin anew."""


@dataclasses.dataclass(frozen=True, slots=True)
class FeedOptions:
    """Bounds of one market data client; times in seconds."""

    stale_after_s: float = 15.0
    connect_timeout_s: float = 5.0
    first_update_wait_s: float = 1.0
    """How long a snapshot waits for the first depth update, so that it is not older than what follows."""
    max_message_bytes: int = 4 * 1024 * 1024


class BinanceMarketDataClient:
    """See ``MarketDataClient``. ``run`` may be called again after it ended."""

    def __init__(
        self,
        venue: Venue,
        symbols: Sequence[str],
        rest: BinanceRest,
        stream_url: str,
        options: FeedOptions | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.venue = venue
        self.statistics = FeedStatistics()
        self._symbols = tuple(symbols)
        self._rest = rest
        self._stream_url = stream_url.rstrip("/")
        self._options = options or FeedOptions()
        self._ssl_context = ssl_context
        self._feeds: dict[InstrumentId, InstrumentFeed] = {}
        self._logged: set[str] = set()

    async def instruments(self) -> Sequence[Instrument]:
        """The configured symbols as the venue defines them.

        Raises:
            VenueRejected: a symbol is not known to the venue.
            VenueUnavailable: no answer; try again later.
        """
        return await self._rest.instruments(self._symbols, self.venue)

    def book(self, instrument_id: InstrumentId) -> OrderBook:
        """The book as of the last batch that was handed on; empty while it is not in sync."""
        return self._feeds[instrument_id].check.book

    def in_sync(self, instrument_id: InstrumentId) -> bool:
        """Whether the book is right now."""
        return instrument_id in self._feeds and self._feeds[instrument_id].sync.in_sync

    @property
    def compared(self) -> int:
        """How many times a book met a ticker of the same update id."""
        return sum(feed.check.compared for feed in self._feeds.values())

    @property
    def equal(self) -> int:
        """How many of these were equal; all, or something is wrong."""
        return sum(feed.check.equal for feed in self._feeds.values())

    @property
    def first_difference(self) -> str | None:
        """The first comparison that was not equal, in words."""
        return next((f.check.first_difference for f in self._feeds.values() if f.check.first_difference), None)

    async def run(self, instruments: Sequence[Instrument], handler: FeedHandler) -> None:
        """Connect, keep every book in sync, reconnect with back-off; until cancelled.

        Raises:
            Exception: what ``handler`` raises; the connection is then closed.
        """
        for instrument in instruments:
            self._feeds.setdefault(instrument.instrument_id, InstrumentFeed(instrument))
        feeds = [self._feeds[instrument.instrument_id] for instrument in instruments]
        backoff = Backoff(FIRST_RECONNECT_S, LONGEST_RECONNECT_S)
        loop = asyncio.get_running_loop()
        while True:
            handler.on_feed_status(None, "CONNECTING", self._stream_url)
            began_s = loop.time()
            try:
                reason = await self._run_session(feeds, handler)
            except (OSError, WSError) as error:
                reason = str(error) or type(error).__name__
            if loop.time() - began_s > CALM_S:
                backoff.reset()
            handler.on_feed_status(None, "DISCONNECTED", reason)
            await asyncio.sleep(backoff.next_s())

    async def close(self) -> None:
        """Close what ``run`` does not: the REST connections."""
        await self._rest.close()

    # -- one connection --------------------------------------------------------------------------------------------

    async def _run_session(self, feeds: Sequence[InstrumentFeed], handler: FeedHandler) -> str:
        options = self._options
        session = MarketSession(feeds, handler, self.statistics, self._logged, options.max_message_bytes)
        for feed in feeds:
            feed.lose()
        async with asyncio.timeout(options.connect_timeout_s):
            transport, _ = await ws_connect(
                lambda: session,
                self._url(feeds),
                ssl_context=self._ssl_context,
                enable_auto_pong=False,
                websocket_handshake_timeout=options.connect_timeout_s,
                max_frame_size=options.max_message_bytes,
                read_buffer_init_size=READ_BUFFER_BYTES,
            )
        self.statistics.connections += 1
        lost = True
        try:
            return await self._attend(feeds, session, transport, handler)
        except asyncio.CancelledError:
            lost = False  # we stop: nothing that was to come is missing
            raise
        finally:
            transport.disconnect(graceful=False)
            for feed in feeds:
                if feed.sync.in_sync:
                    state, detail = ("DISCONNECTED", "the connection ended") if lost else ("ENDED", "we stop")
                    session.void(feed, state, detail, lost=lost)

    async def _attend(
        self, feeds: Sequence[InstrumentFeed], session: MarketSession, transport: WSTransport, handler: FeedHandler
    ) -> str:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._keep_in_sync(feed, session, handler)) for feed in feeds]
                tasks.append(group.create_task(self._watch_silence(session, transport, handler)))
                try:
                    await transport.wait_disconnected()
                finally:
                    for task in tasks:
                        task.cancel()
        except ExceptionGroup as group_error:
            # One failure is enough to end a connection, and run() wants it bare.
            raise group_error.exceptions[0] from None
        handshake = transport.close_handshake
        if handshake is not None and handshake.recv is not None:
            return f"the venue closed the connection: {handshake.recv.code} {handshake.recv.reason or ''}".rstrip()
        return "the connection ended"

    async def _keep_in_sync(self, feed: InstrumentFeed, session: MarketSession, handler: FeedHandler) -> None:
        """Take snapshots of one book whenever it asks for one."""
        backoff = Backoff(FIRST_RESYNC_S, LONGEST_RESYNC_S)
        loop = asyncio.get_running_loop()
        while True:
            await feed.needs_snapshot.wait()
            handler.on_feed_status(feed.instrument.instrument_id, "SYNCING", "taking a snapshot")
            await self._take_snapshot(feed, session, backoff)
            in_sync_since_s = loop.time()
            await feed.needs_snapshot.wait()
            if loop.time() - in_sync_since_s > CALM_S:
                backoff.reset()
            else:
                await asyncio.sleep(backoff.next_s())

    async def _take_snapshot(self, feed: InstrumentFeed, session: MarketSession, backoff: Backoff) -> None:
        while True:
            if await self._try_snapshot(feed, session):
                return
            await asyncio.sleep(backoff.next_s())

    async def _try_snapshot(self, feed: InstrumentFeed, session: MarketSession) -> bool:
        try:
            async with asyncio.timeout(self._options.first_update_wait_s):
                await feed.has_update.wait()
        except TimeoutError:
            pass  # a quiet market: the snapshot alone is the book until an update comes
        try:
            body = await self._rest.depth(feed.instrument.symbol)
            return session.apply_snapshot(feed, body)
        except (VenueError, MalformedFrame) as error:
            kind = f"no snapshot ({type(error).__name__})"
            if kind not in self._logged:
                self._logged.add(kind)
                _log.warning("no depth snapshot of %s: %s; trying again", feed.instrument.symbol, error)
            return False

    async def _watch_silence(self, session: MarketSession, transport: WSTransport, handler: FeedHandler) -> None:
        """A connection that brings nothing is as good as broken."""
        loop = asyncio.get_running_loop()
        limit_s, silent_s = self._options.stale_after_s, 0.0
        while silent_s < limit_s:
            await asyncio.sleep(limit_s - silent_s)
            silent_s = loop.time() - session.last_message_s
        self.statistics.stale += 1
        handler.on_feed_status(None, "STALE", f"no market data for {silent_s:.0f} s; connecting again")
        transport.disconnect(graceful=False)

    def _url(self, feeds: Sequence[InstrumentFeed]) -> str:
        names = [f"{feed.instrument.symbol.lower()}@{stream}" for feed in feeds for stream in STREAMS]
        return f"{self._stream_url}/stream?streams={'/'.join(names)}"
