"""ITCH over MoldUDP64: the packets of one or two UDP lines, and the request server for what both lost. Runs on asyncio.

A wake-up of a socket reads all that is there, up to a bound, and hands on one batch. ``run`` owns the sockets, and
a timer asks for what is missing. UDP tells nobody who sent: lines belong on a network that only the venue writes to.
"""

import asyncio
import ipaddress
import logging
import socket
import struct
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from tradewind.venue.adapter import FeedHandler
from tradewind.venue.itch import moldudp64 as mold
from tradewind.venue.itch.feed import ItchFeed, ItchFeedStatistics
from tradewind.venue.itch.mold_order import GapBounds, MoldOrder
from tradewind.venue.itch.moldudp64 import MoldError

_log: Final = logging.getLogger(__name__)

TICK_S: Final = 0.01
QUIET_S: Final = 0.1
CURRENT_NS: Final = 5_000_000_000
AT_ONCE: Final = 256
"""Datagrams of one wake-up; the rest follow in the next."""
RECEIVE_BUFFER_BYTES: Final = 8 * 1024 * 1024
REOPEN_S: Final = 1.0
ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - what a multicast membership says for "the system's choice"


class MoldAddresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where packets come from. A line is a multicast group, or an address of ours that the venue sends to."""

    lines: tuple[tuple[str, int], ...]
    requests: tuple[str, int] | None = None
    """The request server."""
    interface: str = ANY_ADDRESS
    """Our address on the network of the groups."""
    session: str = ""
    """The only session to follow; empty: the one that comes."""


class MoldSource:
    """See ``ItchSource``. There is nobody to ask for the directory: symbols are not checked before it comes."""

    def __init__(
        self,
        addresses: MoldAddresses,
        statistics: ItchFeedStatistics,
        bounds: GapBounds | None = None,
        *,
        silent_after_s: float = 15.0,
    ) -> None:
        named = ",".join(f"{host}:{port}" for host, port in addresses.lines)
        self.name = f"moldudp64://{named}"
        self._addresses = addresses
        self._statistics = statistics
        self._bounds = bounds
        self._silent_after_s = silent_after_s

    async def check_listed(self, symbols: Sequence[str], timeout_s: float) -> None:
        """Everything may be listed."""

    async def run(self, feed: ItchFeed, handler: FeedHandler) -> None:
        """Receive for ever; open the sockets anew when nothing comes."""
        session = mold.session_bytes(self._addresses.session) if self._addresses.session else b""
        order = MoldOrder(feed, self._bounds, session, can_ask=self._addresses.requests is not None)
        while True:
            handler.on_feed_status(None, "CONNECTING", self.name)
            receiver = _Receiver(self._addresses, feed, order, self._statistics)
            try:
                reason = await self._attend(receiver, order, feed, handler)
            except OSError as error:
                reason = f"the lines cannot be received: {error}"
            finally:
                receiver.close()
                feed.fall_behind()
            handler.on_feed_status(None, "DISCONNECTED", reason)
            await asyncio.sleep(REOPEN_S)

    async def close(self) -> None:
        """Nothing is open outside ``run``."""

    async def _attend(self, receiver: "_Receiver", order: MoldOrder, feed: ItchFeed, handler: FeedHandler) -> str:
        """Why the sockets must be opened anew."""
        receiver.open()
        self._statistics.connections += 1
        loop = asyncio.get_running_loop()
        ended = False
        while not await receiver.failed_within(TICK_S):
            now_s = loop.time()
            receiver.ask(order.due(now_s))
            feed.flush()
            self._count(order)
            if order.ended != ended:
                ended = order.ended
                if ended:
                    feed.fall_behind()
                    handler.on_feed_status(None, "ENDED", "the sender says that the session is over")
            if order.session is not None and not ended and not order.gap and receiver.is_caught_up(now_s):
                feed.caught_up(f"message {feed.next_sequence - 1}")
            receiver.watch_lines(now_s, self._silent_after_s)
            silent_s = now_s - receiver.last_packet_s
            if silent_s > self._silent_after_s:
                self._statistics.stale += 1
                detail = f"no line brought anything for {silent_s:.0f} s, not even a heartbeat"
                handler.on_feed_status(None, "STALE", detail)
                return detail
        return "a socket failed"

    def _count(self, order: MoldOrder) -> None:
        statistics, counters = self._statistics, order.counters
        statistics.requested, statistics.recovered = counters.requested, counters.recovered
        statistics.out_of_order, statistics.held_bytes = counters.repeated, order.held_bytes


class _Receiver:
    """The sockets of one ``run``."""

    def __init__(
        self, addresses: MoldAddresses, feed: ItchFeed, order: MoldOrder, statistics: ItchFeedStatistics
    ) -> None:
        self._addresses = addresses
        self._feed = feed
        self._order = order
        self._statistics = statistics
        self._loop = asyncio.get_running_loop()
        self._buffer = memoryview(bytearray(mold.MAX_DATAGRAM_BYTES + 1))
        self._sockets: list[socket.socket] = []
        self._asking: socket.socket | None = None
        self._failed: asyncio.Future[None] = self._loop.create_future()
        self._logged: set[str] = set()
        self._heard_s = dict.fromkeys(range(len(addresses.lines)), self._loop.time())
        self._silent: set[int] = set()
        self.last_packet_s = self.last_data_s = self._loop.time()

    def open(self) -> None:
        """Open and join. Raises OSError."""
        for line, address in enumerate(self._addresses.lines):
            self._read_from(_opened_line(address, self._addresses.interface), line)
        if self._addresses.requests is not None:
            self._asking = _opened_requests(self._addresses.requests)
            self._read_from(self._asking, None)

    def close(self) -> None:
        """Close all sockets."""
        for each in self._sockets:
            self._loop.remove_reader(each)
            each.close()
        self._sockets.clear()
        if self._failed.done() and not self._failed.cancelled():
            self._failed.exception()

    async def failed_within(self, wait_s: float) -> bool:
        """Wait so long. Raises what a packet's handling raised."""
        await asyncio.wait((self._failed,), timeout=wait_s)
        if self._failed.done():
            self._failed.result()
        return self._failed.done()

    def watch_lines(self, now_s: float, silent_after_s: float) -> None:
        """Say it once when a line is silent, or is back: the other one carries all, but alone."""
        for line, heard_s in self._heard_s.items():
            silent = now_s - heard_s > silent_after_s
            if silent != (line in self._silent):
                (self._silent.add if silent else self._silent.discard)(line)
                host, port = self._addresses.lines[line]
                _log.warning("line %s:%d %s", host, port, "is silent" if silent else "is heard again")

    def ask(self, wanted: tuple[bytes, int, int] | None) -> None:
        """Send a request; that it is lost is nothing special."""
        if wanted is None or self._asking is None:
            return
        try:
            self._asking.send(mold.request(*wanted))
        except OSError as error:
            self._log_once("a request could not be sent", error)

    def is_caught_up(self, now_s: float) -> bool:
        """Whether nothing waits at the lines."""
        return now_s - self.last_data_s >= QUIET_S or self._feed.is_current(CURRENT_NS)

    def _read_from(self, one: socket.socket, line: int | None) -> None:
        """``line``: which one; None for the request server."""
        self._sockets.append(one)
        self._loop.add_reader(one, self._on_readable, one, line)

    def _on_readable(self, one: socket.socket, line: int | None) -> None:
        try:
            self._read(one, line)
            if line is None:
                self.ask(self._order.due(self._loop.time()))
            self._feed.flush()
        except Exception as error:  # the owner of the sockets must hear it, not the event loop
            if not self._failed.done():
                self._failed.set_exception(error)

    def _read(self, one: socket.socket, line: int | None) -> None:
        ts_recv, now_s, buffer = time.time_ns(), self._loop.time(), self._buffer
        for _ in range(AT_ONCE):
            try:
                size = one.recv_into(buffer)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                # An ICMP message came back for a request, or the network went: the silence will tell.
                self._log_once("a socket said", error)
                return
            try:
                packet = mold.read_packet(buffer[:size])
            except MoldError as error:
                self._statistics.malformed += 1
                self._log_once("a datagram is no MoldUDP64", error)
                continue
            self.last_packet_s = now_s
            if line is not None:
                self._heard_s[line] = now_s
            if packet.total:
                self.last_data_s = now_s
            self._order.take(packet, ts_recv, now_s, recovered=line is None)

    def _log_once(self, what: str, error: object) -> None:
        if what not in self._logged:
            self._logged.add(what)
            _log.warning("first time: %s: %s; further ones are not told", what, error)


def _opened_line(address: tuple[str, int], interface: str) -> socket.socket:
    host, port = address
    is_group = ipaddress.ip_address(host).is_multicast
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if is_group:
            # Others of this machine may receive the group as well.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, port))
        if is_group:
            membership = struct.pack("4s4s", socket.inet_aton(host), socket.inet_aton(interface))
            one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    except OSError as error:
        one.close()
        raise OSError(error.errno, f"{host}:{port} on {interface}: {error.strerror or error}") from error
    return one


def _opened_requests(address: tuple[str, int]) -> socket.socket:
    """Connected, so that only the request server's answers come in."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        one.connect(address)
    except OSError:
        one.close()
        raise
    return one
