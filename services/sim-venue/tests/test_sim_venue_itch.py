"""ITCH of the simulated venue: the book that it tells is the engine's, whoever reads it and from where."""

import asyncio
from typing import Any

import pytest
from soup_client import SoupTestClient, free_port

from tradewind.runtime.logging import get_logger
from tradewind.runtime.refusals import PortTaken
from tradewind.services.sim_venue.flow import FlowGenerator
from tradewind.services.sim_venue.flow_market import FlowMarket
from tradewind.services.sim_venue.itch.feed import ItchFeed
from tradewind.services.sim_venue.listings import KNOWN
from tradewind.services.sim_venue.orders import BUY, SELL
from tradewind.services.sim_venue.settings import Settings
from tradewind.services.sim_venue.soup.message_store import MessageStore
from tradewind.services.sim_venue.soup.server import SoupLimits, SoupServer
from tradewind.venue.adapters import VenueSettings, adapter_named, market_data_of
from tradewind.venue.itch import soupbintcp as soup

LISTING = KNOWN["BTCUSDT"]
NS_PER_S = 1_000_000_000
Book = dict[tuple[bytes, int], int]


def book_of(messages: list[bytes]) -> Book:
    """The levels (side, price) of a session read from its message 1, by nothing but the protocol."""
    orders: dict[int, list[Any]] = {}
    for each in messages:
        reference = int.from_bytes(each[11:19], "big")
        if each[:1] == b"A":
            assert reference not in orders
            orders[reference] = [each[19:20], int.from_bytes(each[32:36], "big"), int.from_bytes(each[20:24], "big")]
        elif each[:1] == b"E":
            orders[reference][2] -= int.from_bytes(each[19:23], "big")
            assert orders[reference][2] >= 0
            if orders[reference][2] == 0:
                del orders[reference]
        elif each[:1] == b"D":
            del orders[reference]
    book: Book = {}
    for side, price, shares in orders.values():
        book[side, price] = book.get((side, price), 0) + shares
    return book


def engine_book(market: FlowMarket) -> Book:
    found: Book = {}
    for side, letter in ((BUY, b"B"), (SELL, b"S")):
        for price, size in market._engine.levels(side, 1_000_000):
            found[letter, price * 100] = size // LISTING.step
    return found


def flow_with(feed: ItchFeed) -> FlowMarket:
    market = FlowMarket(
        LISTING,
        FlowGenerator(LISTING, 5, 1_000.0),
        lambda kind, event: None,
        lambda order_id, price, size: None,
        start_ms=0,
        watcher=feed.market_orders(LISTING),
    )
    market.open()
    feed.begin()
    return market


async def all_of(session: MessageStore) -> list[bytes]:
    packets, after = await session.read(1, 1 << 40)
    assert after == session.next_sequence
    return [each.payload for each in soup.PacketReader(soup.FROM_SERVER).feed(packets)]


async def test_the_messages_of_a_session_make_the_engines_book() -> None:
    feed = ItchFeed()
    market = flow_with(feed)
    market.advance(20 * NS_PER_S, 1_000_000)
    messages = await all_of(feed.session)
    assert [chr(each[0]) for each in messages[:5]] == ["S", "S", "R", "H", "S"]
    assert {chr(each[0]) for each in messages} == set("SRHAED")
    assert market.events > 1_000
    assert book_of(messages) == engine_book(market)


async def test_a_full_session_ends_and_the_next_one_begins_with_the_book() -> None:
    feed = ItchFeed(first_session=41, most_messages=2_000)
    market = flow_with(feed)
    first = feed.session
    market.advance(20 * NS_PER_S, 1_000_000)
    assert first.name == "0000000041"
    assert first.ended
    assert first.size == 2_001
    assert (await all_of(first))[-1][11:12] == b"C"
    assert feed.session.name > first.name
    assert feed.session.size <= 2_001
    assert book_of(await all_of(feed.session)) == engine_book(market)


async def test_a_session_ends_at_midnight_in_new_york() -> None:
    now_ns = 1_763_960_399 * NS_PER_S  # 2025-11-23 23:59:59 in New York
    feed = ItchFeed(lambda: now_ns)
    market = flow_with(feed)
    before = feed.session
    now_ns += 2 * NS_PER_S
    market.advance(1 * NS_PER_S, 1_000_000)
    assert before.ended
    messages = await all_of(feed.session)
    assert int.from_bytes(messages[0][5:11], "big") == 1 * NS_PER_S
    assert book_of(messages) == engine_book(market)


async def test_any_sequence_can_be_read_again_in_slices() -> None:
    store = MessageStore("1")
    for number in range(100):
        store.append(b"%d" % number)
    packets, after = await store.read(51, 1 << 20)
    assert after == 101
    assert next(each.payload for each in soup.PacketReader(soup.FROM_SERVER).feed(packets)) == b"50"
    assert await store.read(101, 1 << 20) == (b"", 101)
    # A slice is never empty while there is something, however small it may be.
    assert (await store.read(7, 1))[1] == 8


class _Handler:
    def __init__(self) -> None:
        self.states: list[str] = []

    def on_records(self, records: object) -> None: ...

    def on_feed_status(self, instrument_id: object, state: str, detail: str) -> None:
        self.states.append(state)


async def test_the_adapter_has_the_venues_book_over_cut_connections(start_venue: Any) -> None:
    port = free_port()
    running = await start_venue(itch_port=port, events_per_s=2_000.0)
    venue = running.venue
    assert venue.itch is not None
    await venue.itch.listening.wait()
    settings = VenueSettings(
        venue="SIM", account="main", symbols="BTCUSDT", rest_url="", stream_url="",
        own={"address": f"127.0.0.1:{port}", "user": "DEMO", "password": "test-secre", "size_decimals": "5"},
    )  # fmt: skip
    client = market_data_of(adapter_named("itch"), settings)
    instruments = await client.instruments()
    handler = _Handler()
    task = asyncio.create_task(client.run(instruments, handler))
    for _ in range(3):
        while not client.in_sync(instruments[0].instrument_id):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        venue.itch.cut_all()
        while client.in_sync(instruments[0].instrument_id):
            await asyncio.sleep(0.01)
    await running.session.post(f"{running.url}/sim/v1/stop")
    market = venue._flows[0][0]
    while True:
        await asyncio.sleep(0.05)
        sequence = venue._itch_feed.session.next_sequence
        if client.in_sync(instruments[0].instrument_id) and client.statistics.frames >= sequence - 1:
            break
    book = client.book(instruments[0].instrument_id)
    theirs = {(b"B", price): size for price, size in book.levels(BUY, 100_000)}
    theirs |= {(b"S", price): size for price, size in book.levels(SELL, 100_000)}
    assert theirs == engine_book(market)
    assert client.statistics.gaps == 0
    assert client.statistics.connections >= 4
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture
async def server() -> Any:
    """A server of its own with short limits, over a session of 1000 messages."""
    store = MessageStore("7")
    for number in range(1_000):
        store.append(b"%d" % number)
    limits = SoupLimits(slow_client_s=0.3, dead_after_s=0.5, heartbeat_s=0.1, login_within_s=0.3)
    made = SoupServer("PORT", ("DEMO", "test-secre"), lambda: store, get_logger("test"), limits)
    task = asyncio.create_task(made.run("127.0.0.1", 0))
    await made.listening.wait()
    yield made, store
    task.cancel()
    await asyncio.wait([task])


async def test_many_clients_read_from_where_each_wants(server: tuple[SoupServer, MessageStore]) -> None:
    made, store = server
    clients = [await SoupTestClient.log_in(made.port, sequence) for sequence in (1, 500, 1_000, 0, 5_000)]
    assert [client.sequence for client in clients] == [1, 500, 1_000, 1_001, 1_001]
    assert [await client.message() for client in clients[:3]] == [b"0", b"499", b"999"]
    store.append(b"new")
    assert await clients[3].message() == await clients[4].message() == b"new"
    store.end()
    for client in clients:
        assert (await client.until_quiet())[-1:] in ([b"new"], [])
        assert await client.ended()
        await client.close()


@pytest.mark.parametrize(
    ("given", "reason"), [({"password": "wrong"}, b"A"), ({"user": "WHO"}, b"A"), ({"session": "8"}, b"S")]
)
async def test_a_login_that_does_not_fit_is_refused(
    server: tuple[SoupServer, MessageStore], given: dict[str, str], reason: bytes
) -> None:
    client = await SoupTestClient.connect(server[0].port)
    request = soup.LoginRequest(**{"user": "DEMO", "password": "test-secre", **given})  # type: ignore[arg-type]
    client.writer.write(soup.login_request(request))
    assert await client.packet() == (soup.PacketType.LOGIN_REJECTED, reason)
    assert await client.ended()
    await client.close()


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\x00\x00", b"\xff\xffL", b"\x00\x01?", b"GET / HTTP/1.1\r\n\r\n", soup.CLIENT_HEARTBEAT, b"\x00\x02L1"],
    ids=["silence", "length 0", "64 KiB", "unknown type", "another protocol", "no login", "short login"],
)
async def test_who_does_not_log_in_is_dropped(server: tuple[SoupServer, MessageStore], garbage: bytes) -> None:
    client = await SoupTestClient.connect(server[0].port)
    client.writer.write(garbage)
    assert await client.ended()
    assert server[0].dropped == 1
    await client.close()


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\x00", b"\xff\xffU", soup.unsequenced(b"order"), soup.sequenced(b"1"), b""],
    ids=["length 0", "64 KiB", "a message", "a server's packet", "silence"],
)
async def test_garbage_and_silence_after_the_login_end_the_client(
    server: tuple[SoupServer, MessageStore], garbage: bytes
) -> None:
    client = await SoupTestClient.log_in(server[0].port)
    client.writer.write(garbage)
    assert await client.ended()
    assert server[0].dropped == 1
    assert server[0].clients == 0
    await client.close()


async def test_a_client_that_does_not_read_is_dropped_and_the_others_go_on(
    server: tuple[SoupServer, MessageStore],
) -> None:
    made, store = server
    for _ in range(2_000):
        store.append(b"x" * 10_000)
    slow = await SoupTestClient.log_in(made.port, timeout_ms=50_000)
    while not made.dropped:
        await asyncio.sleep(0.02)
    other = await SoupTestClient.log_in(made.port, store.next_sequence - 1)
    assert await other.message() == b"x" * 10_000
    other.writer.write(soup.LOGOUT_REQUEST)
    assert await other.ended()
    assert made.dropped == 1
    await other.close()
    await slow.close()


async def test_a_taken_port_and_a_replay_are_refused_in_words(start_venue: Any, quiet: Any) -> None:
    with pytest.raises(ValueError, match="itch_port needs mode flow"):
        Settings(mode="replay", capture="x.gz", itch_port=1)  # type: ignore[arg-type]
    with pytest.raises(BaseExceptionGroup) as caught:
        await (await start_venue(data_dir=quiet.venue.ledger._path.parent / "2", itch_port=quiet.venue.port)).task
    assert isinstance(caught.value.exceptions[0], PortTaken)
