"""Binance's market data against the conformance kit, over the small exchange server."""

import json
from typing import Any

import pytest
from aiohttp import web

from tradewind.model.identifiers import InstrumentId
from tradewind.venue.adapters import VenueSettings
from tradewind.venue.conformance import (
    MARKET_DATA_CHECKS,
    MarketDataCheck,
    MarketDataCounterpart,
    SimulatedBook,
    run_check,
)
from tradewind.wire.market_records import RecordSide

API_SECRET = "conformance-secret-of-binance"


class BinanceVenue(MarketDataCounterpart):
    """Combined streams and snapshots of one book; prices in cents, sizes in steps of 0.00001."""

    adapter = "binance"
    instrument_id = InstrumentId("BTCUSDT.BINANCE")
    unknown_symbol = "DOGEUSDT"
    malformed_symbols = "BTC/USDT"
    secrets = (API_SECRET,)

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self._book = SimulatedBook()
        self._update = 100
        self._silent: set[Any] = set()

    async def start(self) -> None:
        self._exchange.answers["GET", "/api/v3/depth"] = self._depth
        self._exchange.answers["GET", "/api/v3/exchangeInfo"] = self._info
        if not self._exchange.running:
            await self._exchange.start()

    async def stop(self) -> None:
        if self._exchange.running:
            await self._exchange.stop()

    def settings(self, symbols: str | None = None, stale_after_s: float = 15.0) -> VenueSettings:
        return VenueSettings(
            venue="BINANCE",
            account="main",
            symbols=symbols or "BTCUSDT",
            rest_url=self._exchange.rest_url,
            stream_url=self._exchange.stream_url,
            api_key="conformance-key",
            api_secret=API_SECRET,
            stale_after_s=stale_after_s,
        )

    def connections(self) -> int:
        return len(self._exchange.open_sockets())

    async def change(self) -> None:
        side, price, size = self._book.change()
        self._update += 1
        await self._say_depth({side: [(price, size)]})

    async def lose_a_change(self) -> None:
        self._book.change()
        self._update += 1
        await self.change()

    async def trade(self, number: int) -> None:
        said = {"e": "trade", "E": 1_000, "s": "BTCUSDT", "t": number, "p": "1000.00", "T": 1_000, "m": True}
        await self._say("trade", said | {"q": _size(number)})

    def levels(self, side: RecordSide) -> list[tuple[int, int]]:
        return [(price, size * 1_000) for price, size in self._book.levels(side)]

    async def hang_up(self) -> None:
        for socket in self._exchange.open_sockets():
            self._transport(socket).abort()

    async def send_garbage(self) -> None:
        for socket in self._exchange.open_sockets():
            for text in ("{oops", '{"stream":"x","data":{"e":"serverShutdown","E":1}}', "[" * 50_000, "null", "7"):
                await socket.send_str(text)
            await socket.send_bytes(b"\x00\x01")

    async def send_truncated(self) -> None:
        for socket in self._exchange.open_sockets():
            self._transport(socket).write(b"\x81\x7e\x01\x00" + b"{" * 40)
        await self.hang_up()

    async def send_overlong(self) -> None:
        for socket in self._exchange.open_sockets():
            self._transport(socket).write(b"\x81\x7f" + (1 << 30).to_bytes(8, "big"))

    def fall_silent(self) -> None:
        self._silent |= set(self._exchange.open_sockets())

    @staticmethod
    def _transport(socket: Any) -> Any:
        return socket._req.transport

    async def _say_depth(self, changed: dict[RecordSide, list[tuple[int, int]]]) -> None:
        levels = {side: [[_price(price), _size(size)] for price, size in changed.get(side, ())] for side in RecordSide}
        said = {"e": "depthUpdate", "E": 1_000, "s": "BTCUSDT", "U": self._update, "u": self._update}
        await self._say("depth@100ms", said | {"b": levels[RecordSide.BUY], "a": levels[RecordSide.SELL]})
        (bid, bid_size), (ask, ask_size) = (self._book.levels(side)[0] for side in (RecordSide.BUY, RecordSide.SELL))
        best = {"b": _price(bid), "B": _size(bid_size), "a": _price(ask), "A": _size(ask_size)}
        await self._say("bookTicker", {"u": self._update, "s": "BTCUSDT"} | best)

    async def _say(self, stream: str, data: dict[str, Any]) -> None:
        for socket in self._exchange.open_sockets():
            if socket not in self._silent and not self._transport(socket).is_closing():
                await socket.send_str(json.dumps({"stream": f"btcusdt@{stream}", "data": data}))

    async def _depth(self, _request: web.Request) -> web.Response:
        sides = {
            name: [[_price(price), _size(size)] for price, size in self._book.levels(side)]
            for name, side in (("bids", RecordSide.BUY), ("asks", RecordSide.SELL))
        }
        return web.json_response({"lastUpdateId": self._update} | sides)

    async def _info(self, request: web.Request) -> web.Response:
        if "DOGE" in request.query["symbols"]:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        return web.json_response(self._exchange.info(request.query["symbols"]))


def _price(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _size(steps: int) -> str:
    return f"{steps // 100_000}.{steps % 100_000:05}000"


COUNTERPARTS = (BinanceVenue,)


@pytest.mark.parametrize("check", MARKET_DATA_CHECKS, ids=lambda check: check.__name__)
async def test_market_data_conforms(check: MarketDataCheck, exchange: Any) -> None:
    await run_check(check, lambda: BinanceVenue(exchange))
