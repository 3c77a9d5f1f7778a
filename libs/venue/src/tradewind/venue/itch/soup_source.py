"""ITCH over SoupBinTCP: one session followed over as many connections as it takes.

After a lost connection the session goes on at the number of the next message, so nothing comes twice and nothing is
missed: the books stay. Everything else is said: a server that begins later than asked (GAP), one that has another
session or went back in this one (a new session: all books are emptied, with the GAP flag where the old one had no end).
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from tradewind.venue.adapter import FeedHandler, VenueRejected, VenueUnavailable
from tradewind.venue.backoff import Backoff
from tradewind.venue.itch.feed import ItchFeed, ItchFeedStatistics
from tradewind.venue.itch.soup_session import (
    LoginRefused,
    PeerSilent,
    SessionEnded,
    SoupOptions,
    run_soup_connection,
)
from tradewind.venue.itch.soupbintcp import LoginAccepted, LoginRequest, RejectReason, SoupError
from tradewind_native.itch import ItchDecoder
from tradewind_native.itch_error import ItchError

FIRST_RECONNECT_S: Final = 0.25
LONGEST_RECONNECT_S: Final = 30.0
CALM_S: Final = 30.0
"""A connection that held for so long makes the next back-off begin anew."""
CURRENT_NS: Final = 5_000_000_000
"""Messages of events that are no older than this are not of the past: a busy feed has no pause that would say it."""
_SHOWN_SYMBOLS: Final = 10
_MOST_STOCKS: Final = 65_536


class SoupServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where a SoupBinTCP server is and who we are there."""

    host: str
    port: int
    user: str
    password: str
    session: str = ""
    """Empty: the active one."""

    def __repr__(self) -> str:
        """Without the password."""
        return f"SoupServer({self.host}:{self.port}, user {self.user!r}, session {self.session!r})"


class _AskFromStart(Exception):
    """The server has another session than the one that we asked for, and did not begin it at 1."""


class SoupSource:
    """See ``ItchSource``."""

    def __init__(self, server: SoupServer, statistics: ItchFeedStatistics, options: SoupOptions | None = None) -> None:
        self.name = f"soupbintcp://{server.host}:{server.port}"
        self._server = server
        self._statistics = statistics
        self._options = options or SoupOptions()

    async def check_listed(self, symbols: Sequence[str], timeout_s: float) -> None:
        """Read the session from its start until the stock directory has named all symbols.

        Raises:
            VenueRejected: the login is refused, or a symbol is not in the directory.
            VenueUnavailable: no server, or no directory yet.
        """
        reader = _DirectoryReader(symbols)
        server = self._server
        request = LoginRequest(user=server.user, password=server.password, session=server.session, sequence=1)
        try:
            async with asyncio.timeout(timeout_s):
                await run_soup_connection((server.host, server.port), request, reader, self._options)
        except LoginRefused as error:
            raise VenueRejected(0, str(error)) from error
        except (TimeoutError, SessionEnded, _AllListed):
            reader.verdict(timeout_s)
        except (SoupError, ItchError, OSError) as error:
            raise VenueUnavailable(f"{self.name}: {error or type(error).__name__}") from error

    async def run(self, feed: ItchFeed, handler: FeedHandler) -> None:
        """Follow the session for ever; see the module."""
        follower = _Follower(feed, handler, self._server, self._statistics)
        backoff = Backoff(FIRST_RECONNECT_S, LONGEST_RECONNECT_S)
        loop = asyncio.get_running_loop()
        while True:
            handler.on_feed_status(None, "CONNECTING", self.name)
            began_s = loop.time()
            try:
                reason = await self._run_connection(follower)
            finally:
                feed.fall_behind()
            if reason is None:
                continue  # asked again at once, and this time from the start
            if loop.time() - began_s > CALM_S:
                backoff.reset()
            handler.on_feed_status(None, "ENDED" if follower.ended else "DISCONNECTED", reason)
            await asyncio.sleep(backoff.next_s())

    async def close(self) -> None:
        """Nothing is open outside ``run``."""

    async def _run_connection(self, follower: "_Follower") -> str | None:
        """Why the connection ended; None: ask again."""
        server = self._server
        try:
            await run_soup_connection((server.host, server.port), follower.request(), follower, self._options)
        except _AskFromStart:
            return None
        except SessionEnded as error:
            follower.end()
            return str(error)
        except LoginRefused as error:
            follower.forget_session(error.reason)
            return str(error)
        except PeerSilent as error:
            follower.leave_silent(str(error))
            return str(error)
        except SoupError as error:
            self._statistics.malformed += 1
            return f"the server sends what is no SoupBinTCP: {error}"
        except OSError as error:
            return str(error) or type(error).__name__
        return "the connection ended"


class _Follower:
    """The ``SoupSink`` that knows where in which session we are."""

    def __init__(
        self, feed: ItchFeed, handler: FeedHandler, server: SoupServer, statistics: ItchFeedStatistics
    ) -> None:
        self._feed = feed
        self._handler = handler
        self._server = server
        self._statistics = statistics
        self._session: str | None = None
        self._session_to_ask = server.session
        self._from_start = True
        self._ended_at = 0

    @property
    def ended(self) -> bool:
        """The server said that the session is over, and nothing came of it since."""
        return self._ended_at == self._feed.next_sequence

    def end(self) -> None:
        """The server says that the session is over."""
        self._ended_at = self._feed.next_sequence

    def leave_silent(self, detail: str) -> None:
        """The server sends nothing any more, not even heartbeats."""
        self._statistics.stale += 1
        self._handler.on_feed_status(None, "STALE", detail)

    def request(self) -> LoginRequest:
        """The login for the next connection."""
        sequence = 1 if self._from_start else self._feed.next_sequence
        session, server = self._session_to_ask, self._server
        return LoginRequest(user=server.user, password=server.password, session=session, sequence=sequence)

    def forget_session(self, reason: RejectReason) -> None:
        """The server refused us: when it has our session no more, the next login asks for the active one."""
        if reason is RejectReason.NO_SUCH_SESSION:
            self._session_to_ask, self._from_start = self._server.session, True

    def on_login(self, accepted: LoginAccepted) -> None:
        """Go on, or begin."""
        asked = self.request().sequence
        self._statistics.connections += 1
        goes_on = accepted.session == self._session and accepted.sequence >= self._feed.next_sequence
        if goes_on:
            self._handler.on_feed_status(None, "SYNCING", f"session {accepted.session!r} at {accepted.sequence}")
        else:
            self._begin(accepted, asked)
        self._session_to_ask, self._from_start = accepted.session, False
        if accepted.sequence > self._feed.next_sequence:
            self._feed.lose(accepted.sequence, f"the server begins at {accepted.sequence}")

    def take(self, data: memoryview, ts_recv: int) -> int:
        """See ``SoupSink``."""
        return self._feed.packets(data, ts_recv)

    def flush(self) -> None:
        """See ``SoupSink``; a feed whose events are of now has caught up."""
        feed = self._feed
        feed.flush()
        if not feed.live and feed.is_current(CURRENT_NS):
            feed.caught_up("the events are of now")

    def on_quiet(self) -> None:
        """See ``SoupSink``."""
        self._feed.caught_up(f"session {self._session!r} up to message {self._feed.next_sequence - 1}")

    def _begin(self, accepted: LoginAccepted, asked: int) -> None:
        if accepted.sequence > 1 and asked != 1:
            # It may have all of its session: only what we asked for made it begin there.
            self._session_to_ask, self._from_start = accepted.session, True
            raise _AskFromStart
        broken = self._session is not None and not self.ended
        was = f"; {self._session!r} was not at its end" if broken else ""
        if accepted.session == self._session:
            was = f"; the server went back in it, from message {self._feed.next_sequence - 1}"
        self._session, self._ended_at = accepted.session, 0
        self._feed.begin(f"session {accepted.session!r}{was}", lost=broken)


class _AllListed(Exception):
    """Enough was read."""


class _DirectoryReader:
    """The ``SoupSink`` that only wants to know which stocks there are."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self._missing = set(symbols)
        self._seen: dict[str, None] = {}
        self._decoder = ItchDecoder(self._note, 0)

    def verdict(self, timeout_s: float) -> None:
        """Raise VenueRejected or VenueUnavailable when a symbol was not named."""
        if not self._missing:
            return
        named = ", ".join(sorted(self._missing))
        if not self._seen:
            raise VenueUnavailable(f"no stock directory came within {timeout_s:g} s")
        shown = ", ".join(list(self._seen)[:_SHOWN_SYMBOLS])
        raise VenueRejected(0, f"the stock directory has no {named}; it has {len(self._seen)} stocks, like {shown}")

    def on_login(self, accepted: LoginAccepted) -> None:
        """See ``SoupSink``."""

    def take(self, data: memoryview, ts_recv: int) -> int:
        """See ``SoupSink``."""
        return self._decoder.decode_packets(data, ts_recv)

    def flush(self) -> None:
        """See ``SoupSink``."""
        self._decoder.take()
        if not self._missing:
            raise _AllListed

    def on_quiet(self) -> None:
        """See ``SoupSink``."""

    def _note(self, symbol: str) -> int | None:
        self._missing.discard(symbol)
        if len(self._seen) < _MOST_STOCKS:
            self._seen[symbol] = None
        return None
