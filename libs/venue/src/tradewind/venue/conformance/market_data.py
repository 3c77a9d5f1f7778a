"""The checks that every market data adapter must pass. See ``MARKET_DATA_CHECKS``."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import numpy as np

from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import VenueRejected, VenueUnavailable
from tradewind.venue.adapters import FeedClient
from tradewind.venue.conformance.checking import (
    WAIT_S,
    NotConforming,
    all_log_lines,
    nothing_left,
    require,
    require_no_secret,
    require_one_sentence,
)
from tradewind.venue.conformance.feed_recorder import FeedRecorder, running
from tradewind.venue.conformance.market_data_counterpart import MarketDataCounterpart
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide, instrument_number

MOST_RECORDS_OF_A_BATCH: Final = 65_536
STALE_AFTER_S: Final = 2.0
MANY_TRADES: Final = 2_000
_SIDES: Final = (RecordSide.BUY, RecordSide.SELL)


class Followed:
    """A client that follows a counterpart, and what it said."""

    def __init__(self, venue: MarketDataCounterpart, client: FeedClient, instrument: Instrument) -> None:
        self.venue = venue
        self.client = client
        self.instrument = instrument
        self.number = instrument_number(instrument.instrument_id)
        self.recorder = FeedRecorder()

    def trades(self) -> list[int]:
        """Sizes of the trades that came, in increments: the numbers that ``trade`` was told."""
        return [int(size) // self.instrument.size_increment for size in self.recorder.of_kind(RecordKind.TRADE)["size"]]

    def is_right(self) -> bool:
        """Whether the client's book and a consumer's are the venue's."""
        client, name = self.client, self.instrument.instrument_id
        if not client.in_sync(name):
            return False
        book = client.book(name)
        return all(
            self.venue.levels(side) == book.levels(side, 1_000_000) == self.recorder.levels(self.number, side)
            for side in _SIDES
        )

    async def until_right(self, when: str) -> None:
        """Wait until both books are the venue's."""
        try:
            await self.recorder.until(self.is_right, f"the venue's book {when}")
        except NotConforming as error:
            side = RecordSide.BUY
            found = {
                "venue": self.venue.levels(side)[:4],
                "client": self.client.book(self.instrument.instrument_id).levels(side, 4),
                "consumer": self.recorder.levels(self.number, side)[:4],
            }
            raise NotConforming(f"{error} best bids: {found}; {self.client.statistics}") from None

    async def until_traded(self, number: int) -> None:
        """Say trades of this size, a few times a second, until one comes: the connection carries."""
        async with asyncio.timeout(WAIT_S):
            while True:
                if number in self.trades():
                    return
                await self.venue.trade(number)
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def following(venue: MarketDataCounterpart, stale_after_s: float = 15.0) -> AsyncIterator[Followed]:
    """A client whose book is right."""
    client = venue.make_client(stale_after_s=stale_after_s)
    instruments = await client.instruments()
    require(
        [one.instrument_id for one in instruments] == [venue.instrument_id],
        f"instruments() must give {venue.instrument_id}, and gives {[one.instrument_id for one in instruments]}",
    )
    followed = Followed(venue, client, instruments[0])
    async with running(client, followed.recorder, instruments):
        await followed.until_right("after it connected")
        yield followed


# -- settings and questions --------------------------------------------------------------------------------------------


async def making_a_client_connects_nothing(venue: MarketDataCounterpart) -> None:
    """A client can be made while its venue is away; the question for instruments is then unavailable, not empty."""
    await venue.stop()
    client = venue.make_client()
    try:
        await client.instruments()
    except VenueUnavailable as error:
        require_one_sentence(error)
    else:
        raise NotConforming("instruments() of a venue that is away must raise VenueUnavailable")
    finally:
        await client.close()


async def a_malformed_symbol_is_a_setting_in_words(venue: MarketDataCounterpart) -> None:
    """ValueError, in one sentence, before anything is connected."""
    try:
        venue.make_client(venue.malformed_symbols)
    except ValueError as error:
        require_one_sentence(error)
    else:
        raise NotConforming(f"symbols {venue.malformed_symbols!r} must be refused with a ValueError")


async def an_unknown_symbol_is_rejected_in_one_sentence(venue: MarketDataCounterpart) -> None:
    """The venue does not have it: VenueRejected that names it."""
    client = venue.make_client(venue.unknown_symbol)
    try:
        await client.instruments()
    except VenueRejected as error:
        require_one_sentence(error, venue.unknown_symbol)
    else:
        raise NotConforming(f"an unknown symbol {venue.unknown_symbol} must be refused with VenueRejected")
    finally:
        await client.close()


# -- the stream --------------------------------------------------------------------------------------------------------


async def a_book_is_followed_from_its_first_moment(venue: MarketDataCounterpart) -> None:
    """Snapshot, then changes: the client's book and a consumer's equal the venue's, and LIVE is told."""
    async with following(venue) as followed:
        for _ in range(60):
            await venue.change()
        await followed.until_right("after 60 changes")
        client, recorder = followed.client, followed.recorder
        require(recorder.says("CONNECTING"), "CONNECTING is told before the connection is made")
        require(recorder.says("LIVE"), "LIVE is told once a book is right")
        require(client.statistics.gaps == 0 == recorder.gaps(), "an undisturbed feed has no gap")
        require(client.compared == client.equal, f"every comparison is equal: {client.first_difference}")
        if venue.sums_checksums:
            require(client.compared, "a venue that proves its books is compared with")


async def records_are_of_known_instruments_in_order_of_time(venue: MarketDataCounterpart) -> None:
    """Receive times are UTC nanoseconds, never go back, and lie between now and then."""
    began_ns = time.time_ns()
    async with following(venue) as followed:
        for number in range(1, 31):
            await venue.change()
            await venue.trade(number)
        await followed.recorder.until(lambda: len(followed.trades()) == 30, "30 trades")
        records = followed.recorder.records
        received = records["ts_recv"]
        require(bool(np.all(np.diff(received.astype(np.int64)) >= 0)), "receive times never go back")
        require(began_ns <= int(received.min()), "receive times are nanoseconds UTC of when they came")
        require(int(received.max()) <= time.time_ns(), "receive times are not of the future")
        require(
            set(records["instrument"].tolist()) == {followed.number}, "records are of instruments that were asked for"
        )
        known = {int(kind) for kind in RecordKind}
        require(set(records["kind"].tolist()) <= known, "every record is of a known kind")


async def statistics_count_what_came(venue: MarketDataCounterpart) -> None:
    """Trades, connections, frames and snapshots are counted; nothing good is counted as bad."""
    async with following(venue) as followed:
        for number in range(1, 21):
            await venue.trade(number)
            await venue.change()
        await followed.until_right("after 20 changes")
        await followed.recorder.until(lambda: len(followed.trades()) == 20, "20 trades")
        counted = followed.client.statistics
        require(followed.trades() == list(range(1, 21)), "trades come in their order, each once")
        require(counted.trades == 20, f"20 trades came and {counted.trades} were counted")
        require(counted.connections >= 1, "connections are counted")
        require(counted.frames >= 40, f"40 messages came and {counted.frames} were counted")
        bad = (counted.malformed, counted.unknown, counted.gaps, counted.stale)
        require(bad == (0, 0, 0, 0), f"nothing was wrong, and counted are malformed, unknown, gaps, stale = {bad}")


# -- what goes wrong ---------------------------------------------------------------------------------------------------


async def a_hole_is_marked_and_the_book_taken_anew(venue: MarketDataCounterpart) -> None:
    """A number or checksum that does not fit: status GAP, a CLEAR with the flag GAP, and the book comes back."""
    async with following(venue) as followed:
        await venue.change()
        await followed.until_right("before the hole")
        await venue.lose_a_change()
        await followed.recorder.until(lambda: followed.recorder.says("GAP"), "the status GAP")
        await followed.until_right("after the hole")
        _require_marked_gap(followed)
        await venue.change()
        await followed.until_right("with a change after the hole")
        require(followed.client.statistics.gaps >= 1, "gaps are counted")


async def a_lost_connection_is_made_again(venue: MarketDataCounterpart) -> None:
    """What was missed is marked as a gap or brought by the venue; nothing comes twice; the book is right again."""
    async with following(venue) as followed:
        for number in range(1, 11):
            await venue.trade(number)
        await followed.recorder.until(lambda: len(followed.trades()) == 10, "10 trades")
        await venue.hang_up()
        await venue.change()
        await venue.trade(11)
        await followed.recorder.until(lambda: followed.client.statistics.connections >= 2, "a second connection")
        await followed.until_traded(12)
        await followed.until_right("after the connection was made again")
        trades = followed.trades()
        once = [number for number in trades if number <= 11]
        require(len(once) == len(set(once)), f"no trade comes twice: {trades}")
        require(once[:10] == list(range(1, 11)), f"no trade from before the break is lost: {trades}")
        if 11 not in trades:
            _require_marked_gap(followed)


async def a_venue_that_restarts_is_found_again(venue: MarketDataCounterpart) -> None:
    """While it is away DISCONNECTED is told, and attempts go on."""
    async with following(venue) as followed:
        await venue.stop()
        await followed.recorder.until(lambda: followed.recorder.says("DISCONNECTED"), "the status DISCONNECTED")
        await venue.start()
        await followed.until_traded(3)
        await followed.until_right("after the venue came back")


async def garbage_is_counted_and_the_feed_goes_on(venue: MarketDataCounterpart) -> None:
    """No crash: counted as malformed or unknown, and the book is right afterwards."""
    async with following(venue) as followed:
        await venue.send_garbage()
        await followed.recorder.until(
            lambda: followed.client.statistics.malformed + followed.client.statistics.unknown,
            "a count of malformed or unknown messages",
        )
        await followed.until_traded(5)
        await venue.change()
        await followed.until_right("after garbage")


async def half_a_message_is_no_message(venue: MarketDataCounterpart) -> None:
    """A connection that ends within a message is made again; the half is not handed on."""
    async with following(venue) as followed:
        await venue.send_truncated()
        await followed.recorder.until(lambda: followed.client.statistics.connections >= 2, "a second connection")
        await followed.until_traded(6)
        await venue.change()
        await followed.until_right("after half a message")


async def a_message_without_end_is_bounded(venue: MarketDataCounterpart) -> None:
    """One that is larger than the adapter takes costs at most the connection."""
    async with following(venue, stale_after_s=STALE_AFTER_S) as followed:
        await venue.send_overlong()
        await followed.until_traded(7)
        await venue.change()
        await followed.until_right("after a message that is too long")


async def a_silent_venue_is_left(venue: MarketDataCounterpart) -> None:
    """After ``stale_after_s`` of silence STALE is told, counted, and the connection made again."""
    async with following(venue, stale_after_s=STALE_AFTER_S) as followed:
        venue.fall_silent()
        counted = followed.client.statistics.connections
        await followed.recorder.until(lambda: followed.recorder.says("STALE"), "the status STALE")
        await followed.recorder.until(lambda: followed.client.statistics.stale >= 1, "a count of stale connections")
        await followed.recorder.until(lambda: followed.client.statistics.connections > counted, "another connection")


async def a_slow_consumer_gets_everything_in_bounded_batches(venue: MarketDataCounterpart) -> None:
    """While the consumer is busy the venue's data waits in the socket, not in a list of ours."""
    async with following(venue) as followed:
        followed.recorder.block_s = 0.002
        for number in range(1, MANY_TRADES + 1):
            await venue.trade(number)
        await followed.recorder.until(lambda: MANY_TRADES in followed.trades(), f"trade {MANY_TRADES}")
        require(followed.trades() == list(range(1, MANY_TRADES + 1)), "every trade comes once, in order")
        largest = max(len(batch) for batch in followed.recorder.batches)
        require(largest <= MOST_RECORDS_OF_A_BATCH, f"a batch had {largest} records")
        await venue.change()
        await followed.until_right("of a slow consumer")


async def an_error_of_the_handler_ends_run(venue: MarketDataCounterpart) -> None:
    """``run`` raises it, and its connection is closed."""
    client = venue.make_client()
    instruments = await client.instruments()
    recorder = FeedRecorder()
    recorder.fail_with = RuntimeError("no room")
    try:
        async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
            telling = group.create_task(_keep_telling(venue))
            try:
                await client.run(instruments, recorder)
            finally:
                telling.cancel()
    except* RuntimeError as caught:
        require(str(caught.exceptions[0]) == "no room", f"run() must raise the handler's error bare: {caught}")
    else:
        raise NotConforming("run() must raise what the handler raised")
    finally:
        await client.close()
    await recorder.until(lambda: venue.connections() == 0, "a closed connection")


# -- the end -----------------------------------------------------------------------------------------------------------


async def stopping_leaves_nothing(venue: MarketDataCounterpart) -> None:
    """No task, thread or socket stays; ENDED and a CLEAR without a gap say that we stopped, and it may run again."""
    async with nothing_left():
        async with following(venue) as followed:
            await venue.change()
            await followed.until_right("before the stop")
        await followed.recorder.until(lambda: venue.connections() == 0, "a closed connection")
        require(followed.recorder.says("ENDED"), "ENDED is told of a book that we stop to follow")
        last = followed.recorder.records[-1]
        require(last["kind"] == RecordKind.CLEAR, "the last record clears the book")
        require(not int(last["flags"]) & RecordFlag.GAP, "to stop is no gap")
        require(not followed.client.in_sync(venue.instrument_id), "a client that stopped has no book in sync")


async def a_client_runs_again(venue: MarketDataCounterpart) -> None:
    """``run`` may be called again after it ended."""
    client = venue.make_client()
    instruments = await client.instruments()
    for _ in range(2):
        followed = Followed(venue, client, instruments[0])
        async with running(_KeptOpen(client), followed.recorder, instruments):
            await followed.until_right("of this run")
    await client.close()


async def no_secret_is_shown(venue: MarketDataCounterpart) -> None:
    """Neither in a representation nor in a log, at any level, also when the connection breaks."""
    with all_log_lines() as lines:
        async with following(venue) as followed:
            await venue.send_garbage()
            await venue.hang_up()
            await followed.recorder.until(lambda: followed.client.statistics.connections >= 2, "a second connection")
            shown = {"repr of the client": repr(followed.client), "a status": "\n".join(followed.recorder.details)}
    settings = venue.settings()
    require_no_secret(venue.secrets, shown | {"repr of the settings": repr(settings), "the log": "\n".join(lines)})


class _KeptOpen:
    """A client without ``close``, for a run after this one."""

    def __init__(self, client: FeedClient) -> None:
        self.venue = client.venue
        self.instruments = client.instruments
        self.run = client.run


async def _keep_telling(venue: MarketDataCounterpart) -> None:
    while True:
        await venue.trade(1)
        await asyncio.sleep(0.05)


def _require_marked_gap(followed: Followed) -> None:
    clears = followed.recorder.of_kind(RecordKind.CLEAR)
    marked = (clears["flags"] & int(RecordFlag.GAP)) != 0
    require(bool(marked.any()), "what is missing is marked by a CLEAR record with the flag GAP")


MarketDataCheck = Callable[[MarketDataCounterpart], Awaitable[None]]
MARKET_DATA_CHECKS: Final[tuple[MarketDataCheck, ...]] = (
    making_a_client_connects_nothing,
    a_malformed_symbol_is_a_setting_in_words,
    an_unknown_symbol_is_rejected_in_one_sentence,
    a_book_is_followed_from_its_first_moment,
    records_are_of_known_instruments_in_order_of_time,
    statistics_count_what_came,
    a_hole_is_marked_and_the_book_taken_anew,
    a_lost_connection_is_made_again,
    a_venue_that_restarts_is_found_again,
    garbage_is_counted_and_the_feed_goes_on,
    half_a_message_is_no_message,
    a_message_without_end_is_bounded,
    a_silent_venue_is_left,
    a_slow_consumer_gets_everything_in_bounded_batches,
    an_error_of_the_handler_ends_run,
    stopping_leaves_nothing,
    a_client_runs_again,
    no_secret_is_shown,
)
"""All of them; each is run against a counterpart of its own (``run_check``)."""
