"""What `tradewind topics` makes of names, places, messages and hostile texts."""

import datetime
import json
import time
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from topic_samples import BTCUSDT, COMMON, EVIL, MARKET, batch, cancel, defined, delivered, filled, instrument, letter

from tradewind.bus.dead_letters import dead_lettered
from tradewind.bus.interface import Delivery, Start
from tradewind.bus.memory import MemoryBus
from tradewind.model.accounts import Balance
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.topics.choosing import Choice
from tradewind.runtime.topics.instruments import KnownInstruments
from tradewind.runtime.topics.json_lines import JsonLines
from tradewind.runtime.topics.known_topics import check_names, checked_type, named_topics, topics_of, with_dead_letters
from tradewind.runtime.topics.places import AtOffset, AtTime, Place, beginning, parse_place
from tradewind.runtime.topics.plain_text import shown, shown_duration, shown_time
from tradewind.runtime.topics.text_lines import TextLines
from tradewind.wire.events import AccountBalancesChanged, OrderDenied
from tradewind.wire.market_records import (
    RecordFlag,
    RecordKind,
    instrument_number,
)
from tradewind.wire.topics import (
    FIXED_TOPICS,
    ORDERS_COMMANDS,
    ORDERS_EVENTS,
    REF_INSTRUMENTS,
    dead_letters_of,
)


@pytest.fixture
def known() -> KnownInstruments:
    found = KnownInstruments(None)
    found.define(instrument())
    return found


Lines = Callable[..., list[str]]


@pytest.fixture
def text(known: KnownInstruments) -> Lines:
    return lambda delivery, *, key=None, kind=None: list(TextLines(known, Choice(key, kind), named=False).of(delivery))


@pytest.fixture
def objects(known: KnownInstruments) -> Callable[..., list[dict[str, Any]]]:
    return lambda delivery, *, key=None, kind=None: [
        json.loads(line) for line in JsonLines(known, Choice(key, kind)).of(delivery)
    ]


@pytest.fixture
async def bus() -> Any:
    opened = MemoryBus()
    yield opened
    await opened.close()


class TestNames:
    def test_topics_of_venues_come_first_and_dead_letters_last(self) -> None:
        names = list(with_dead_letters(topics_of(["BINANCE", "KRAKEN", "BINANCE"])))
        assert names[:3] == ["md.events.binance", "md.events.kraken", "md.status"]
        assert names[-1] == "ops.alerts.dead-letter"
        assert len(names) == len(set(names)) == 2 * (2 + len(FIXED_TOPICS))

    def test_a_venue_that_is_no_name_makes_no_topic(self) -> None:
        assert topics_of(["BI NANCE", EVIL, ""]) == topics_of([])

    def test_names_become_topics_each_once(self) -> None:
        known = with_dead_letters(topics_of(["BINANCE"]))
        found = named_topics(["orders.events", "md.events.binance", "orders.events"], known)
        assert found == [ORDERS_EVENTS, MARKET]
        assert named_topics(["orders.commands.dead-letter"], known) == [dead_letters_of("orders.commands")]

    def test_a_wrong_name_is_answered_with_those_near_it(self) -> None:
        with pytest.raises(StartRefused, match=r"no topic 'order.evnts'; near it: orders.events"):
            check_names(["md.events.anything", "order.evnts"], "BINANCE")
        with pytest.raises(StartRefused, match=r"no topic 'md.events.binanse'; near it: md.events.binance"):
            named_topics(["md.events.binanse"], topics_of(["BINANCE"]))
        with pytest.raises(StartRefused, match=r"no topic 'q'; there are: md.events.binance, md.status"):
            named_topics(["q"], topics_of(["BINANCE"]))

    def test_a_wrong_name_cannot_write_on_the_terminal(self) -> None:
        with pytest.raises(StartRefused) as caught:
            check_names([EVIL], "BINANCE")
        assert str(caught.value).isprintable()

    def test_message_types_and_kinds_of_records_are_known(self) -> None:
        assert checked_type(None) is None
        assert [checked_type(name) for name in ("OrderFilled", "MarketBatch", "TRADE")]
        with pytest.raises(StartRefused, match=r"no message type 'trade'; near it: TRADE"):
            checked_type("trade")


class TestPlaces:
    @pytest.mark.parametrize(
        ("written", "place"),
        [
            ("earliest", Start.EARLIEST),
            ("Latest", Start.LATEST),
            ("0", AtOffset(0)),
            ("1200", AtOffset(1200)),
            ("1700000000123456789", AtTime(1_700_000_000_123_456_789)),
            ("2023-11-14T22:13:20Z", AtTime(1_700_000_000_000_000_000)),
            ("2023-11-14T22:13:20.123456789Z", AtTime(1_700_000_000_123_456_789)),
            ("2023-11-14T23:13:20.5+01:00", AtTime(1_700_000_000_500_000_000)),
            ("2023-11-14 22:13:20", AtTime(1_700_000_000_000_000_000)),
            ("2023-11-14", AtTime(1_699_920_000_000_000_000)),
        ],
    )
    def test_what_is_taken(self, written: str, place: Place) -> None:
        assert parse_place(written, "--from") == place

    def test_an_age_is_a_time_before_now(self) -> None:
        before = time.time_ns()
        place = parse_place("15m", "--from")
        assert isinstance(place, AtTime)
        assert before <= place.ts_ns + 900_000_000_000 <= time.time_ns()
        assert parse_place("999999999d", "--from") == AtTime(0)

    @pytest.mark.parametrize("written", ["", "yesterday", "-1", "1.5", "٣", "2023-13-01", "1960-01-01", "9" * 40, "1w"])
    def test_what_is_refused_is_said_with_what_is_taken(self, written: str) -> None:
        with pytest.raises(StartRefused, match=r"--until .*: it takes earliest, latest, an offset"):
            parse_place(written, "--until")

    def test_a_shown_time_can_be_given_back(self) -> None:
        now = time.time_ns()
        assert parse_place(shown_time(now), "--from") == AtTime(now)

    async def test_an_offset_past_the_end_begins_at_the_end(self, bus: MemoryBus) -> None:
        await bus.publish(ORDERS_COMMANDS, "a", cancel(1))
        begin = await beginning(bus, ORDERS_COMMANDS, AtOffset(5))
        assert isinstance(begin.start, dict)
        assert sorted(begin.start.values()) == [0, 0, 0, 1]

    @pytest.mark.parametrize("probe", [1, 3, 1_000])
    async def test_a_time_is_found_in_every_partition(
        self, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, probe: int
    ) -> None:
        monkeypatch.setattr("tradewind.runtime.topics.places._PROBE_MESSAGES", probe)
        for number in range(40):
            await bus.publish(ORDERS_COMMANDS, f"key{number % 7}", cancel(number))
        every = await bus.replay(ORDERS_COMMANDS)
        since = every[25].ts_publish
        wanted = {(one.partition, one.offset) for one in every if one.ts_publish >= since}
        begin = await beginning(bus, ORDERS_COMMANDS, AtTime(since))
        subscription = await bus.subscribe(ORDERS_COMMANDS, start=begin.start)
        found = await subscription.receive(100)
        kept = {(one.partition, one.offset) for one in found if one.ts_publish >= begin.oldest_ns}
        assert kept == wanted
        assert probe < 1_000 or len(found) == len(wanted)


class TestText:
    def test_times(self) -> None:
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        assert shown_time(int(now.timestamp()) * 10**9 + 7) == now.strftime("%Y-%m-%dT%H:%M:%S") + ".000000007Z"
        assert [shown_time(odd) for odd in (-1, 2**63 - 1)] == ["-1ns", "2262-04-11T23:47:16.854775807Z"]
        assert shown_time(2**64) == "2554-07-21T23:34:33.709551616Z"
        assert shown_time(2**70) == f"{2**70}ns"

    def test_durations(self) -> None:
        assert [shown_duration(one) for one in (7 * 86_400, 5_400, 3_600, 61, 0)] == ["7d", "90m", "1h", "61s", "0s"]

    def test_nothing_that_moves_a_terminal_is_shown(self) -> None:
        assert shown(EVIL) == r"a\x1b[2J\x1b]0;title\x07\x9b31m\u202eb\u2028c\r\n\x7f"
        assert shown("Grüße, 東京 …") == "Grüße, 東京 …"
        assert shown("x" * 1_000_000) == "x" * 200 + "…(+999800 characters)"

    def test_a_fill_has_its_decimals_and_no_ids_of_the_story(self, text: Lines) -> None:
        [line] = text(delivered(filled()))
        assert line == (
            "2001-09-09T01:46:40.000000000Z 1@17 BINANCE-main OrderFilled account_id=BINANCE-main "
            "strategy_id=ema-cross instrument_id=BTCUSDT.BINANCE client_order_id=ema-cross-1-1 sequence=4 "
            "status=FILLED venue_order_id=77 trade_id=9 side=BUY price=61837.63 size=1.50000 filled_size=1.50000 "
            "fee=0.00012300 fee_currency=BNB liquidity_side=MAKER"
        )

    def test_a_mantissa_of_an_unknown_instrument_says_so(self, text: Lines) -> None:
        [line] = text(delivered(filled(instrument_id=InstrumentId("ETHUSDT.BINANCE"))))
        assert "price=6183763m size=150000m" in line

    def test_parts_of_a_message_are_shown(self, text: Lines) -> None:
        balances = (Balance(currency="BTC", free=Decimal("0.5"), locked=Decimal("1E-8")),) * 30
        changed = AccountBalancesChanged(
            event_id="b", account_id=AccountId("BINANCE-main"), balances=balances, snapshot=True, **COMMON
        )
        [line] = text(delivered(changed))
        assert "balances=[(currency=BTC free=0.5 locked=1E-8), (" in line
        assert line.endswith("…(+10)] snapshot=true")
        [line] = text(delivered(defined(), REF_INSTRUMENTS))
        assert "price_increment=0.01 size_increment=0.00001 min_size=0.00001 max_size=9000.00000" in line

    def test_records_are_lines_with_decimals(self, text: Lines) -> None:
        payload = batch(2, flags=[0, RecordFlag.LAST | RecordFlag.GAP], kind=[RecordKind.TRADE, RecordKind.LEVEL])
        assert text(delivered(payload, MARKET, "BINANCE")) == [
            "2023-11-14T22:13:20.123456789Z 1@17 BTCUSDT.BINANCE TRADE BUY 61837.63 x 1.50000 sequence=1",
            "2023-11-14T22:13:20.123456789Z 1@17 BTCUSDT.BINANCE LEVEL BUY 61837.63 x 1.50000 sequence=2 "
            "flags=LAST|GAP",
        ]

    def test_records_of_strangers_are_shown_as_they_are(self, text: Lines) -> None:
        odd = batch(1, instrument=7, kind=77, side=9, flags=0xF1, ts_event=-5, order_id=2**64 - 1)
        [line] = text(delivered(odd, MARKET, "BINANCE"))
        assert line == (
            "-5ns 1@17 #7 RecordKind=77 RecordSide=9 6183763m x 150000m sequence=1 order_id=18446744073709551615 "
            "flags=LAST|240"
        )

    def test_key_and_type_choose(self, text: Lines) -> None:
        assert len(text(delivered(filled()), key="BINANCE-main", kind="OrderFilled")) == 1
        assert text(delivered(filled()), key="BINANCE-other") == []
        assert text(delivered(filled()), kind="OrderDenied") == []
        mixed = delivered(batch(3, instrument=[instrument_number(BTCUSDT), 5, 5], kind=[1, 1, 3]), MARKET, "BINANCE")
        assert len(text(mixed, key="BINANCE", kind="MarketBatch")) == 3
        assert len(text(mixed, key=BTCUSDT)) == 1
        assert len(text(mixed, kind="LEVEL")) == 1
        assert text(mixed, key=BTCUSDT, kind="LEVEL") == []
        assert text(mixed, kind="OrderFilled") == []

    def test_a_dead_letter_shows_the_reason_and_what_was_put_aside(self, text: Lines) -> None:
        aside = dead_lettered(delivered(filled(), ORDERS_EVENTS), "no such account")
        [line] = text(delivered(aside, dead_letters_of("orders.events")))
        assert 'DeadLettered reason="no such account" from orders.events 1@17 BINANCE-main OrderFilled v1 acc' in line
        assert "price=61837.63" in line
        [line] = text(delivered(dead_lettered(delivered(batch(2), MARKET, "BINANCE"), "x"), ORDERS_EVENTS))
        assert "MarketBatch v0 of 2 records (BTCUSDT.BINANCE TRADE BUY" in line
        assert text(delivered(aside), kind="OrderFilled") != []
        assert text(delivered(aside), kind="OrderDenied") == []

    @pytest.mark.parametrize("of_batch", [False, True])
    def test_a_dead_letter_of_bytes_that_are_no_message_shows_the_bytes(self, text: Lines, of_batch: bool) -> None:
        name = "MarketBatch" if of_batch else EVIL
        [line] = text(delivered(letter(message_type=name, payload=b"\x00\x1b[2J" + b"x" * 50)))
        assert "00 1b 5b 32 4a 78" in line
        assert line.endswith("…(+31 bytes)")
        assert ("is not a whole number of 64-byte records" if of_batch else "unknown message type") in line
        assert line.isprintable()

    def test_no_text_of_a_message_reaches_the_terminal_unchanged(self, known: KnownInstruments) -> None:
        denied = OrderDenied(
            event_id=EVIL,
            account_id=AccountId(EVIL),
            strategy_id=StrategyId(EVIL),
            instrument_id=InstrumentId(EVIL),
            client_order_id=ClientOrderId(EVIL),
            sequence=1,
            status=OrderStatus.DENIED,
            reason=EVIL + '" forged=1',
            **COMMON,
        )
        put_aside = letter(reason=EVIL, topic=EVIL, key=EVIL, message_type=EVIL)
        for payload in (denied, put_aside):
            delivery = Delivery("orders.events", 0, 0, EVIL, payload, 1)
            for shape in (TextLines(known, Choice(), named=True), JsonLines(known, Choice())):
                [line] = shape.of(delivery)
                assert {unicodedata.category(one) for one in line}.isdisjoint({"Cc", "Cf", "Zl", "Zp"})
        [line] = TextLines(known, Choice(), named=True).of(Delivery("orders.events", 0, 0, "k", denied, 1))
        assert r"\" forged=1" in line


class TestJson:
    def test_a_message_is_as_on_the_wire(self, objects: Callable[..., list[dict[str, Any]]]) -> None:
        [found] = objects(delivered(filled()))
        message = found.pop("message")
        assert found == {
            "topic": "orders.events",
            "partition": 1,
            "offset": 17,
            "key": "BINANCE-main",
            "ts_publish": 10**18,
            "type": "OrderFilled",
        }
        assert (message["price"], message["fee"], message["side"]) == (6_183_763, "0.00012300", "BUY")

    def test_a_record_has_mantissas_and_decimals(self, objects: Callable[..., list[dict[str, Any]]]) -> None:
        first, second = objects(delivered(batch(2, instrument=[instrument_number(BTCUSDT), 5]), MARKET, "BINANCE"))
        assert (first["instrument_id"], first["price"], first["size"]) == (BTCUSDT, "61837.63", "1.50000")
        assert first["record"]["price"] == second["record"]["price"] == 6_183_763
        assert (first["type"], "price" in second, second["record"]["instrument"]) == ("TRADE", False, 5)

    def test_what_a_dead_letter_holds_is_inside(self, objects: Callable[..., list[dict[str, Any]]]) -> None:
        [found] = objects(delivered(dead_lettered(delivered(cancel(1)), "no")))
        assert found["inner"]["message"]["reason"] == "drill"
        [found] = objects(delivered(dead_lettered(delivered(batch(2), MARKET, "BINANCE"), "no")))
        assert [one["price"] for one in found["inner"]["records"]] == ["61837.63"] * 2
        [found] = objects(delivered(letter()))
        assert "SubmitOrder version 1" in found["inner"]["undecodable"]
