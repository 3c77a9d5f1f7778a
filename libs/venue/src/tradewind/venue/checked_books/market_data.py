"""Market data over one WebSocket with books that prove themselves: subscribe, check, subscribe again, reconnect.

``run`` owns one task per book that asks for snapshots, one that watches for silence, and nothing else; they live within
a task group and end with the connection. Frames are handled in the socket's callback (``session``).
"""

import asyncio
import dataclasses
import ssl
from collections.abc import Sequence
from typing import Final

from picows import WSError, WSMsgType, WSTransport, ws_connect

from tradewind.model.identifiers import InstrumentId, Venue
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import FeedHandler
from tradewind.venue.backoff import Backoff
from tradewind.venue.checked_books.dialect import Dialect
from tradewind.venue.checked_books.followed_book import FollowedBook
from tradewind.venue.checked_books.session import BookFeed, CheckedBookSession, CheckedFeedStatistics
from tradewind_native.order_book import OrderBook

FIRST_RECONNECT_S: Final = 0.25
LONGEST_RECONNECT_S: Final = 30.0
FIRST_RESYNC_S: Final = 0.1
LONGEST_RESYNC_S: Final = 60.0
READ_BUFFER_BYTES: Final = 256 * 1024
CALM_S: Final = 30.0
"""A connection or a book that held for so long makes the next back-off begin anew."""
PINGS_BEFORE_STALE: Final = 3


@dataclasses.dataclass(frozen=True, slots=True)
class CheckedFeedOptions:
    """Bounds of one market data client; times in seconds."""

    stale_after_s: float = 15.0
    connect_timeout_s: float = 5.0
    snapshot_timeout_s: float = 10.0
    """A subscription that brought no snapshot for so long is made again."""
    max_message_bytes: int = 16 * 1024 * 1024


class CheckedMarketDataClient:
    """See ``MarketDataClient``. ``run`` may be called again after it ended."""

    def __init__(
        self,
        venue: Venue,
        symbols: Sequence[str],
        dialect: Dialect,
        stream_url: str,
        options: CheckedFeedOptions | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.venue = venue
        self.statistics = CheckedFeedStatistics()
        self._symbols = tuple(symbols)
        self._dialect = dialect
        self._url = stream_url.rstrip("/") + dialect.stream_path
        self._options = options or CheckedFeedOptions()
        self._ssl_context = ssl_context
        self._feeds: dict[InstrumentId, BookFeed] = {}
        self._logged: set[str] = set()

    async def instruments(self) -> Sequence[Instrument]:
        """The configured symbols as the venue defines them.

        Raises:
            VenueRejected: a symbol is not known to the venue.
            VenueUnavailable: no answer; try again later.
        """
        return await self._dialect.instruments(self._symbols, self.venue)

    def book(self, instrument_id: InstrumentId) -> OrderBook:
        """The book as of the last batch that was handed on; empty while it is not in sync."""
        return self._feeds[instrument_id].book.book

    def in_sync(self, instrument_id: InstrumentId) -> bool:
        """Whether the book is right now."""
        return instrument_id in self._feeds and self._feeds[instrument_id].book.in_sync

    @property
    def compared(self) -> int:
        """How many times a book met a checksum of the venue."""
        return sum(feed.book.compared for feed in self._feeds.values())

    @property
    def equal(self) -> int:
        """How many of these were equal; after any other the book was taken anew."""
        return sum(feed.book.equal for feed in self._feeds.values())

    @property
    def unchecked(self) -> int:
        """How many book frames came without a checksum though their venue has them."""
        return sum(feed.book.unchecked for feed in self._feeds.values())

    @property
    def first_difference(self) -> str | None:
        """The first comparison that was not equal, in words."""
        return next((f.book.first_difference for f in self._feeds.values() if f.book.first_difference), None)

    async def run(self, instruments: Sequence[Instrument], handler: FeedHandler) -> None:
        """Connect, keep every book in sync, reconnect with back-off; until cancelled.

        Raises:
            Exception: what ``handler`` raises; the connection is then closed.
        """
        for one in instruments:
            book = FollowedBook(one, self._dialect.name_in_frames(one))
            self._feeds.setdefault(one.instrument_id, BookFeed(book))
        feeds = [self._feeds[instrument.instrument_id] for instrument in instruments]
        backoff = Backoff(FIRST_RECONNECT_S, LONGEST_RECONNECT_S)
        loop = asyncio.get_running_loop()
        while True:
            handler.on_feed_status(None, "CONNECTING", self._url)
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
        """Close what ``run`` does not: the connections for questions."""
        await self._dialect.close()

    # -- one connection --------------------------------------------------------------------------------------------

    async def _run_session(self, feeds: Sequence[BookFeed], handler: FeedHandler) -> str:
        options = self._options
        session = CheckedBookSession(
            feeds, self._dialect, handler, self.statistics, self._logged, options.max_message_bytes
        )
        for feed in feeds:
            feed.lose()
        async with asyncio.timeout(options.connect_timeout_s):
            transport, _ = await ws_connect(
                lambda: session,
                self._url,
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
                if feed.book.in_sync:
                    state, detail = ("DISCONNECTED", "the connection ended") if lost else ("ENDED", "we stop")
                    session.void(feed, state, detail, lost=lost)

    async def _attend(
        self, feeds: Sequence[BookFeed], session: CheckedBookSession, transport: WSTransport, handler: FeedHandler
    ) -> str:
        for feed in feeds:
            handler.on_feed_status(feed.book.instrument.instrument_id, "SYNCING", "subscribing")
        _send(transport, self._dialect.subscribe([feed.book.name for feed in feeds]))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._keep_in_sync(feed, transport, handler)) for feed in feeds]
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
        return session.farewell or "the connection ended"

    async def _keep_in_sync(self, feed: BookFeed, transport: WSTransport, handler: FeedHandler) -> None:
        """Subscribe to one book again whenever it was lost or no snapshot came."""
        backoff = Backoff(FIRST_RESYNC_S, LONGEST_RESYNC_S)
        loop = asyncio.get_running_loop()
        while True:
            reason = "no snapshot came"
            if await self._snapshot_came(feed):
                in_sync_since_s = loop.time()
                await feed.lost.wait()
                reason = "the book was lost"
                if loop.time() - in_sync_since_s > CALM_S:
                    backoff.reset()
            await asyncio.sleep(backoff.next_s())
            if not feed.book.in_sync:
                detail = f"{reason}; subscribing again"
                handler.on_feed_status(feed.book.instrument.instrument_id, "SYNCING", detail)
                _send(transport, self._dialect.subscribe_again(feed.book.name))

    async def _snapshot_came(self, feed: BookFeed) -> bool:
        try:
            async with asyncio.timeout(self._options.snapshot_timeout_s):
                await feed.synced.wait()
        except TimeoutError:
            return False
        return True

    async def _watch_silence(self, session: CheckedBookSession, transport: WSTransport, handler: FeedHandler) -> None:
        """A quiet market answers a ping; a connection that does not is as good as broken."""
        loop = asyncio.get_running_loop()
        limit_s, silent_s = self._options.stale_after_s, 0.0
        pause_s = limit_s / PINGS_BEFORE_STALE
        while silent_s < limit_s:
            if silent_s >= pause_s:
                _send(transport, [self._dialect.ping])
            await asyncio.sleep(min(pause_s, limit_s - silent_s))
            silent_s = loop.time() - session.last_message_s
        self.statistics.stale += 1
        handler.on_feed_status(None, "STALE", f"no market data for {silent_s:.0f} s; connecting again")
        transport.disconnect(graceful=False)


def _send(transport: WSTransport, messages: Sequence[str]) -> None:
    for message in messages:
        transport.send(WSMsgType.TEXT, message.encode())
