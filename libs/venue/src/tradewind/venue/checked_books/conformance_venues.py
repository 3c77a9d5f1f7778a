"""OKX and Kraken as simulated venues of the conformance kit: one book each, told of as the real ones do."""

import abc
import zlib
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from tradewind.model.identifiers import InstrumentId
from tradewind.venue.adapters import VenueSettings
from tradewind.venue.book_checksums import okx_checksum
from tradewind.venue.checked_books.testing import CheckedBooksServer, play
from tradewind.venue.conformance.market_data_counterpart import MarketDataCounterpart
from tradewind.venue.conformance.simulated_book import SimulatedBook
from tradewind.wire.market_records import RecordSide

_BUY: Final = RecordSide.BUY
_SELL: Final = RecordSide.SELL
_ENDLESS: Final = b"\x81\x7f" + (1 << 30).to_bytes(8, "big")
"""The head of a text frame that claims 1 GiB (RFC 6455, section 5.2)."""
_HALF: Final = b"\x81\x7e\x01\x00" + b"{" * 40
"""The head of a text frame of 256 bytes, and 40 of them."""


class _Server(CheckedBooksServer):
    """Hands what clients say to its venue."""

    def __init__(self, venue: "CheckedBooksVenue") -> None:
        super().__init__()
        self._venue = venue

    async def answer(self, socket: web.WebSocketResponse, message: str) -> None:
        await self._venue.heard(socket, message)


class CheckedBooksVenue(MarketDataCounterpart):
    """What the two have in common."""

    kept: int
    size_step: int
    """Mantissa of one size increment."""
    venue: str
    symbol: str

    def __init__(self) -> None:
        self._server = _Server(self)
        self._book = SimulatedBook(self.kept)
        self._sockets: dict[web.WebSocketResponse, bool] = {}
        """Open connections, and whether they follow the book."""

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        self._sockets.clear()
        await self._server.stop()

    def settings(self, symbols: str | None = None, stale_after_s: float = 15.0) -> VenueSettings:
        port = self._server.port or 1
        return VenueSettings(
            venue=self.venue,
            account="main",
            symbols=symbols or self.symbol,
            rest_url=f"http://127.0.0.1:{port}",
            stream_url=f"ws://127.0.0.1:{port}",
            stale_after_s=stale_after_s,
            own=self.own(),
        )

    def settings_port(self) -> int:
        """Where it listens, for questions and streams."""
        return self._server.port

    def own(self) -> Mapping[str, str]:
        """Variables of the adapter."""
        return {}

    def connections(self) -> int:
        return sum(not socket.closed for socket in self._server.sockets_open())

    def levels(self, side: RecordSide) -> list[tuple[int, int]]:
        return [(price, size * self.size_step) for price, size in self._book.levels(side)]

    async def change(self) -> None:
        await self._say(self.update(*self._book.change()))

    async def trade(self, number: int) -> None:
        await self._say(self.trade_frame(number), all_of_them=True)

    async def hang_up(self) -> None:
        for socket in self._server.sockets_open():
            _transport(socket).abort()
        self._sockets.clear()

    async def send_garbage(self) -> None:
        for socket in self._sockets:
            await play(socket, ["{oops", "[" * 50_000, '{"arg":7}', "[1,2,3]", "null", '"\\ud800"'])
            await socket.send_bytes(b"\x00\xff")

    async def send_truncated(self) -> None:
        self._write(_HALF)
        await self.hang_up()

    async def send_overlong(self) -> None:
        self._write(_ENDLESS)

    def fall_silent(self) -> None:
        for socket in self._server.sockets_open():
            self._sockets.pop(socket, None)
            self._server.silent.add(socket)

    async def heard(self, socket: web.WebSocketResponse, message: str) -> None:
        """A client's message: pings, and subscriptions to the book."""
        if socket in self._server.silent:
            return
        if (pong := self.pong(message)) is not None:
            await play(socket, [pong])
        elif self.is_about_book(message):
            wanted = '"unsubscribe"' not in message
            self._sockets[socket] = wanted
            if wanted:
                await play(socket, [self.snapshot()])

    async def _say(self, frame: object, *, all_of_them: bool = False) -> None:
        for socket, follows in list(self._sockets.items()):
            if (follows or all_of_them) and not socket.closed:
                await play(socket, [frame])

    def _write(self, data: bytes) -> None:
        for socket in self._sockets:
            _transport(socket).write(data)

    # -- what differs ----------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def pong(self, message: str) -> object:
        """The answer to a ping; None when it is none."""

    @abc.abstractmethod
    def is_about_book(self, message: str) -> bool:
        """Whether a request is about the book's channel."""

    @abc.abstractmethod
    def snapshot(self) -> object:
        """The whole book."""

    @abc.abstractmethod
    def update(self, side: RecordSide, price: int, size: int) -> object:
        """One level, just changed."""

    @abc.abstractmethod
    def trade_frame(self, number: int) -> object:
        """A trade of so many increments."""


class OkxVenue(CheckedBooksVenue):
    """OKX v5, channel ``books`` with checksums and numbers; prices in tenths, sizes in 1e-8."""

    adapter = "okx"
    venue = "OKX"
    symbol = "BTC-USDT"
    instrument_id = InstrumentId("BTC-USDT.OKX")
    unknown_symbol = "DOGE-USDT"
    malformed_symbols = "BTC-USDT/x"
    kept = 10_000
    size_step = 1

    def __init__(self) -> None:
        super().__init__()
        self._number = 100

    async def lose_a_change(self) -> None:
        self._book.change()
        self._number += 1
        await self.change()

    def pong(self, message: str) -> object:
        return "pong" if message == "ping" else None

    def is_about_book(self, message: str) -> bool:
        return '"books"' in message

    def snapshot(self) -> object:
        sides = {side: self._book.levels(side) for side in (_BUY, _SELL)}
        return self._frame("snapshot", sides, -1)

    def update(self, side: RecordSide, price: int, size: int) -> object:
        self._number += 1
        return self._frame("update", {_BUY: [], _SELL: []} | {side: [(price, size)]}, self._number - 1)

    def _frame(self, action: str, sides: Mapping[RecordSide, list[tuple[int, int]]], before: int) -> object:
        data = {
            name: [[f"{price // 10}.{price % 10}", _eighths(size), "0", "1"] for price, size in sides[side]]
            for name, side in (("asks", _SELL), ("bids", _BUY))
        }
        checksum = okx_checksum(_Mantissas(self), 1, 8)
        numbers = {"ts": "1700000000000", "checksum": checksum, "seqId": self._number, "prevSeqId": before}
        return {"arg": {"channel": "books", "instId": self.symbol}, "action": action, "data": [data | numbers]}

    def trade_frame(self, number: int) -> object:
        one = {"instId": self.symbol, "tradeId": str(number), "px": "10000.1", "sz": _eighths(number), "side": "buy"}
        return {"arg": {"channel": "trades", "instId": self.symbol}, "data": [one | {"ts": "1700000000000"}]}


class KrakenVenue(CheckedBooksVenue):
    """Kraken v1, ten levels, checksum in each update; prices with four decimals, sizes with eight."""

    adapter = "kraken"
    venue = "KRAKEN"
    symbol = "WAVES/EUR"
    instrument_id = InstrumentId("WAVESEUR.KRAKEN")
    unknown_symbol = "DOGE/EUR"
    malformed_symbols = "XBT-USD"
    kept = 10
    size_step = 1

    def own(self) -> Mapping[str, str]:
        return {"depth": "10"}

    async def lose_a_change(self) -> None:
        self._book.sides[_BUY][self._book.levels(_BUY)[0][0]] += 7
        frame: Any = self.update(_SELL, *self._book.levels(_SELL)[0])
        await self._say(frame)

    def pong(self, message: str) -> object:
        return {"event": "pong"} if '"ping"' in message else None

    def is_about_book(self, message: str) -> bool:
        return '"name":"book"' in message

    def snapshot(self) -> object:
        sides = {
            name: [_kraken_level(*level) for level in self._book.levels(side)]
            for name, side in (("as", _SELL), ("bs", _BUY))
        }
        return [7, sides, "book-10", self.symbol]

    def update(self, side: RecordSide, price: int, size: int) -> object:
        digits = "".join(f"{price}{size}" for each in (_SELL, _BUY) for price, size in self._book.levels(each)[:10])
        change = {"b" if side == _BUY else "a": [_kraken_level(price, size)], "c": str(zlib.crc32(digits.encode()))}
        return [7, change, "book-10", self.symbol]

    def trade_frame(self, number: int) -> object:
        return [7, [["10.0000", _eighths(number), "1700000000.5", "b", "l", ""]], "trade", self.symbol]


class _Mantissas:
    """The venue's book for the checksum's twin."""

    def __init__(self, venue: CheckedBooksVenue) -> None:
        self._venue = venue

    def levels(self, side: int, depth: int) -> list[tuple[int, int]]:
        return self._venue.levels(RecordSide(side))[:depth]


def _transport(socket: Any) -> Any:
    """Where its bytes go: no library sends half a frame, or cuts a connection off."""
    return socket._req.transport


def _eighths(mantissa: int) -> str:
    """A mantissa of eight decimals as text."""
    return f"{mantissa // 10**8}.{mantissa % 10**8:08}"


def _kraken_level(price: int, size: int) -> list[str]:
    return [f"{price // 10_000}.{price % 10_000:04}", _eighths(size), "1700000000.000001"]
