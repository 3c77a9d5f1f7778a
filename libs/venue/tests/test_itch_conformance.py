"""The ITCH adapter over SoupBinTCP against the conformance kit."""

import struct

import pytest

from tradewind.model.identifiers import InstrumentId
from tradewind.venue.adapters import VenueSettings
from tradewind.venue.conformance import (
    MARKET_DATA_CHECKS,
    MarketDataCheck,
    MarketDataCounterpart,
    SimulatedBook,
    run_check,
)
from tradewind.venue.itch.testing import SoupPlayer, add_order, directory, itch_message
from tradewind.wire.market_records import RecordSide

PASSWORD = "pw-of-itch"


class ItchVenue(MarketDataCounterpart):
    """One stock's book, one order at each price; SoupBinTCP sends again what a client missed."""

    adapter = "itch"
    instrument_id = InstrumentId("CHAR.NASDAQ")
    unknown_symbol = "NOSUCH"
    malformed_symbols = "TOOLONGSYMBOL"
    secrets = (PASSWORD,)
    sums_checksums = False
    exempt = {  # noqa: RUF012 - never changed
        "a_hole_is_marked_and_the_book_taken_anew": "SoupBinTCP has no holes; those of MoldUDP64 have their own tests"
    }

    def __init__(self) -> None:
        self._player = SoupPlayer([directory("CHAR")])
        self._player.password = PASSWORD
        self._book = SimulatedBook()
        self._orders: dict[tuple[RecordSide, int], int] = {}
        self._reference = 0
        for side in (RecordSide.BUY, RecordSide.SELL):
            for price, size in self._book.levels(side):
                self._add(side, price, size)

    async def start(self) -> None:
        await self._player.start()

    async def stop(self) -> None:
        await self._player.stop()

    def settings(self, symbols: str | None = None, stale_after_s: float = 15.0) -> VenueSettings:
        return VenueSettings(
            venue="NASDAQ",
            account="main",
            symbols=symbols or "CHAR",
            rest_url="",
            stream_url="",
            stale_after_s=stale_after_s,
            own={"address": f"127.0.0.1:{self._player.port}", "user": "me", "password": PASSWORD},
        )

    def connections(self) -> int:
        return len(self._player._writers)

    async def change(self) -> None:
        side, price, size = self._book.change()
        if (reference := self._orders.pop((side, price), None)) is not None:
            self._player.messages.append(itch_message("D", struct.pack(">Q", reference)))
        if size:
            self._add(side, price, size)

    async def lose_a_change(self) -> None:
        raise NotImplementedError(self.exempt)

    async def trade(self, number: int) -> None:
        body = struct.pack(">QcI8sIQ", 0, b"B", number, b"CHAR    ", 1_000_000, number)
        self._player.messages.append(itch_message("P", body))

    def levels(self, side: RecordSide) -> list[tuple[int, int]]:
        return self._book.levels(side)

    async def hang_up(self) -> None:
        self._player.hang_up()

    async def send_garbage(self) -> None:
        self._player.messages += [b"~ what nobody meant", b"?", itch_message("D", b"\xff" * 8)]

    async def send_truncated(self) -> None:
        self._player.write(b"\x00\x24SA")
        self._player.hang_up()

    async def send_overlong(self) -> None:
        self._player.write(b"\xff\xffSA")

    def fall_silent(self) -> None:
        self._player.heartbeat_s = 0

    def _add(self, side: RecordSide, price: int, size: int) -> None:
        self._reference += 1
        self._orders[side, price] = self._reference
        letter = "B" if side == RecordSide.BUY else "S"
        self._player.messages.append(add_order(self._reference, letter, size, price))


COUNTERPARTS = (ItchVenue,)


@pytest.mark.parametrize("check", MARKET_DATA_CHECKS, ids=lambda check: check.__name__)
async def test_market_data_conforms(check: MarketDataCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.venue.itch.market_data.LISTING_TIMEOUT_S", 0.5)
    await run_check(check, ItchVenue)
