"""Envelopes and market queues: what both brokers share."""

import asyncio
import time

import pytest
from bus_contract import batch, batch_of, command, has_gap, market_topic

from tradewind.bus.dead_letters import MAX_REASON_CHARACTERS
from tradewind.bus.envelopes import MAX_BROKER_BYTES, opened, sealed, undecodable
from tradewind.bus.interface import Delivery, Payload
from tradewind.bus.market_queue import MarketOutbox, MarketQueue
from tradewind.model.identifiers import Venue
from tradewind.wire import encoding
from tradewind.wire.encoding import UndecodableMessage
from tradewind.wire.market_batches import MarketBatch


def delivery(payload: Payload, offset: int = 0) -> Delivery:
    return Delivery("topic", 0, offset, "key", payload, 1)


def test_a_message_and_a_batch_come_out_as_they_went_in() -> None:
    message, records = command("x"), batch(7, records=3)
    assert opened(*sealed(message, 5)) == (message, 5)
    payload, ts_publish = opened(*sealed(records, 2**63 - 1))
    assert isinstance(payload, MarketBatch)
    assert (payload.venue, payload.to_bytes(), ts_publish) == ("SIM", records.to_bytes(), 2**63 - 1)
    assert not payload.records.flags.writeable


def test_what_is_too_large_is_not_sealed() -> None:
    with pytest.raises(ValueError, match="over 1000000"):
        sealed(command("x" * 1_000_000), 1)
    with pytest.raises(ValueError, match="smaller batches"):
        sealed(batch(0, records=16_000), 1)


@pytest.mark.parametrize("name", ["type", "version", "ts"])
@pytest.mark.parametrize("value", [None, b"", 7, "text", b"\xff", b"-1", b"1_0", b" 1", b"9" * 19, b"1" * 5_000])
def test_odd_headers_are_undecodable(name: str, value: object) -> None:
    headers, body = sealed(command("x"), 5)
    odd: dict[str, object] = {**headers, name: value}
    with pytest.raises(UndecodableMessage):
        opened(odd, body)
    del odd[name]
    with pytest.raises(UndecodableMessage, match=name):
        opened(odd, body)
    assert undecodable("topic", 0, 1, "key", {**headers, name: value}, body, "odd").payload == body


@pytest.mark.parametrize("body", [None, b"", b"x" * 63, b"x" * 65, b"x" * 64 * 16_000])
def test_odd_batches_are_undecodable(body: object) -> None:
    headers, _ = sealed(batch(0), 5)
    with pytest.raises(UndecodableMessage):
        opened(headers, body)


def test_a_batch_of_the_future_or_of_no_venue_is_undecodable() -> None:
    headers, body = sealed(batch(0), 5)
    with pytest.raises(UndecodableMessage, match="update this service"):
        opened({**headers, "version": b"2"}, body)
    with pytest.raises(UndecodableMessage, match="venue"):
        opened({**headers, "venue": b""}, body)


def test_undecodable_bytes_fit_a_dead_letter_whatever_they_are() -> None:
    raw = b"\xff" * MAX_BROKER_BYTES
    letter = undecodable("topic", 3, 9, "é" * 50_000, {}, raw, "?" * 50_000)
    assert len(letter.reason) == MAX_REASON_CHARACTERS
    assert raw.startswith(letter.payload)
    assert encoding.decode("DeadLettered", 1, encoding.encode(letter)) == letter
    assert undecodable("topic", 3, 9, "k", {}, None, "no body").payload == b""


def test_a_full_queue_drops_the_oldest_and_marks_the_next_batch() -> None:
    queue = MarketQueue(3)
    queue.put(delivery(batch(number * 2), number) for number in range(5))
    assert (queue.dropped_records, queue.free, len(queue)) == (4, 0, 3)
    taken = queue.take(2)
    assert [d.offset for d in taken] == [2, 3]
    assert [has_gap(d) for d in taken + queue.take(9)] == [True, False, False]
    assert (queue.gaps, queue.free) == (1, 3)


def test_a_gap_waits_for_a_batch_that_can_carry_it() -> None:
    queue = MarketQueue(2)
    kept = delivery(batch(0))
    queue.missed()
    queue.put([delivery(command("no place"))])
    assert len(queue.take(9)) == 1
    assert queue.gaps == 1
    queue.put([kept])
    assert has_gap(queue.take(9)[0])
    assert queue.gaps == 1
    assert not has_gap(kept), "others share it"


async def test_an_outbox_drops_the_oldest_and_marks_the_next_batch_of_that_topic() -> None:
    outbox = MarketOutbox(messages=3)
    one, two = market_topic(), market_topic()
    outbox.put(one, "SIM", batch(0))
    for topic in (two, one, one):
        outbox.put(topic, "SIM", batch(2))
    taken = await outbox.take()
    opened_batches = [delivery(opened(outgoing.headers, outgoing.body)[0]) for outgoing in taken]
    assert [has_gap(each) for each in opened_batches] == [False, True, False]
    assert outbox.dropped_records == 2
    outbox.lost(taken[0])
    outbox.put(two, "SIM", batch(4))
    [after] = await outbox.take()
    assert has_gap(delivery(opened(after.headers, after.body)[0]))


async def test_an_outbox_is_bounded_in_bytes_and_keeps_the_clock() -> None:
    outbox = MarketOutbox(max_bytes=64 * 10)
    before = time.time_ns()
    for number in range(4):
        outbox.put(market_topic(), "SIM", batch(number, records=4))
    [first, second] = await outbox.take()
    assert outbox.dropped_records == 8
    payload, ts_publish = opened(first.headers, first.body)
    assert before <= ts_publish <= time.time_ns()
    assert batch_of(delivery(payload)).venue == Venue("SIM")
    assert second.records == 4


async def test_an_outbox_wakes_its_sender_and_loses_nothing_to_a_cancel() -> None:
    outbox = MarketOutbox()
    waiting = asyncio.ensure_future(outbox.take())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    outbox.put(market_topic(), "SIM", batch(0))
    assert len(await outbox.take()) == 1
