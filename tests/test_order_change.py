"""An order by hand that is changed, over real sockets, a real database and a venue that lies: never two at work, never
more than was wanted. What was ever at the venue is read from the venue's own record."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from kill_switch_kit import BTC, Desk, Part, desk_of, token_of, until

from tradewind.model.enums import KillStage, Outcome
from tradewind.model.identifiers import ClientOrderId, Venue
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.store.database import Database
from tradewind.wire.commands import SubmitOrder
from tradewind.wire.events import InstrumentDefined, OrderCanceled, OrderSubmitted
from tradewind.wire.topics import ORDERS_COMMANDS, ORDERS_EVENTS, REF_INSTRUMENTS

FIRST, SECOND = "manual-1-1", "manual-1-1-r1"
WANTED = "0.05"
INSTRUMENT = Instrument(
    instrument_id=BTC,
    venue=Venue("BINANCE"),
    symbol="BTCUSDT",
    base_currency="BTC",
    quote_currency="USDT",
    price_precision=2,
    size_precision=8,
    price_increment=1,
    size_increment=1_000,
    min_size=1_000,
    max_size=9_000 * 10**8,
    max_price=1_000_000_00,
    min_notional=Decimal(5),
)
CHANGE = {"price": "31000.00", "why": "the market moved"}


@pytest.fixture
async def desk(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """A hand's order of 0.05 BTC rests at 30,000."""
    async with desk_of(database, tmp_path / "venue", monkeypatch) as running:
        await running.rest_order(FIRST, WANTED)
        yield running


class Hand:
    """Somebody with a token at one copy of the api."""

    def __init__(self, desk: Desk, url: str) -> None:
        self._desk = desk
        self._url = f"{url}/api/v1"
        self._headers = {"Authorization": f"Bearer {token_of('anna')}"}

    async def change(self, name: str = FIRST, **change: str) -> int:
        address = f"{self._url}/orders/{name}"
        async with self._desk.http.patch(address, json=change or CHANGE, headers=self._headers) as answer:
            return answer.status

    async def get(self, path: str) -> Any:
        async with self._desk.http.get(self._url + path, headers=self._headers) as answer:
            return await answer.json()

    async def gave_up(self) -> str:
        """Why the change was given up, as the audit has it."""
        found: list[str] = []

        async def audited() -> bool:
            page = await self.get("/audit?action=order.replace.given-up")
            found[:] = [row["why"] for row in page["rows"]]
            return bool(found)

        await until(audited)
        [why] = found
        return why


async def hand_at(desk: Desk, **settings: Any) -> Hand:
    hand = Hand(desk, await desk.start_api(**settings))
    await desk.bus.publish(REF_INSTRUMENTS, BTC, InstrumentDefined(instrument=INSTRUMENT, **desk.identity()))

    async def ready() -> bool:
        return "order" in await hand.get(f"/orders/{FIRST}") and bool(await hand.get("/instruments"))

    await until(ready)
    return hand


async def sizes(desk: Desk) -> tuple[Decimal, Decimal]:
    """What the two orders hold or may still get, and what they have bought, from the store."""
    rows = await desk.store.orders_by_id([ClientOrderId(name) for name in (FIRST, SECOND)])
    filled = sum(row.filled_size for row in rows)
    open_size = sum(row.size - row.filled_size for row in rows if not row.status.is_closed)
    return Decimal(filled + open_size).scaleb(-8), Decimal(filled).scaleb(-8)


async def never_two(desk: Desk) -> None:
    """The second was cleared for sending only after everybody had been told of the first's end."""
    story = [one.payload for one in await desk.bus.replay(ORDERS_EVENTS, from_offset=0)]
    names: list[tuple[str, str]] = [
        (type(event).__name__, event.client_order_id)
        for event in story
        if isinstance(event, OrderCanceled | OrderSubmitted)
    ]
    assert names.index(("OrderCanceled", FIRST)) < names.index(("OrderSubmitted", SECOND))
    assert names.count(("OrderSubmitted", SECOND)) == 1


async def no_second(desk: Desk) -> None:
    """Nothing was asked for after the cancel; what is asked for now comes after all that was."""
    await desk.rest_order("alpha-9-9")
    commands = [one.payload for one in await desk.bus.replay(ORDERS_COMMANDS, from_offset=0)]
    assert SECOND not in {one.client_order_id for one in commands if isinstance(one, SubmitOrder)}
    assert [name for name, _ in desk.venue_orders("manual")] == [FIRST]


async def test_it_is_cancelled_and_another_rests_in_its_place(desk: Desk) -> None:
    hand = await hand_at(desk)
    assert await hand.change() == 202
    second = await desk.reaches(SECOND, OrderStatus.ACCEPTED)
    first = await desk.reaches(FIRST, OrderStatus.CANCELED)
    assert (second.price, second.size) == (3_100_000, 5_000_000)
    assert second.correlation_id == first.correlation_id
    assert desk.venue_orders("manual") == [(FIRST, "CANCELED"), (SECOND, "NEW")]
    await never_two(desk)
    page = await hand.get(f"/orders/by-correlation/{first.correlation_id}")
    assert [order["client_order_id"] for order in page["orders"]] == [SECOND, FIRST]
    assert await hand.change() == 409
    assert await hand.change(SECOND, size="0.06") == 202
    third = await desk.reaches("manual-1-1-r2", OrderStatus.ACCEPTED)
    assert (third.price, third.size) == (3_100_000, 6_000_000)


@pytest.mark.parametrize("lie", ["fill_before_cancel", "fill_after_cancel"])
async def test_what_is_filled_during_the_cancel_is_not_bought_again(desk: Desk, lie: str) -> None:
    hand = await hand_at(desk, replace_settle_s=2.0)
    await desk.lies({"lie": lie, "endpoints": ["cancel_order"], "percent": 40, "ms": 100})
    assert await hand.change() == 202
    second = await desk.reaches(SECOND, OrderStatus.ACCEPTED)
    assert second.size == 3_000_000
    assert await sizes(desk) == (Decimal(WANTED), Decimal("0.02"))
    await never_two(desk)


async def test_an_order_that_was_filled_whole_is_not_followed(desk: Desk) -> None:
    hand = await hand_at(desk)
    await desk.lies({"lie": "fill_before_cancel", "endpoints": ["cancel_order"], "percent": 100})
    assert await hand.change() == 202
    assert "FILLED" in await hand.gave_up()
    await no_second(desk)
    assert await sizes(desk) == (Decimal(WANTED), Decimal(WANTED))


async def test_a_cancel_that_the_venue_refuses_leaves_the_first_alone(desk: Desk) -> None:
    hand = await hand_at(desk)
    await desk.lies({"lie": "clock_refused", "endpoints": ["cancel_order"]})
    assert await hand.change() == 202
    assert "refused" in await hand.gave_up()
    await no_second(desk)
    assert desk.resting() == [FIRST, "alpha-9-9"]


async def test_a_venue_that_says_nothing_leaves_one_order_whatever_it_did(desk: Desk) -> None:
    hand = await hand_at(desk)
    await desk.lies(
        {"lie": "lost_request", "endpoints": ["cancel_order"]},
        {"lie": "error_before", "endpoints": ["query_order", "open_orders", "all_orders"], "status": 503},
    )
    assert await hand.change() == 202
    assert "UNKNOWN" in await hand.gave_up()
    [first] = await desk.store.orders_by_id([ClientOrderId(FIRST)])
    assert first.outcome is Outcome.UNKNOWN
    await desk.is_honest()
    await desk.reaches(FIRST, OrderStatus.CANCELED)
    await no_second(desk)
    assert desk.resting() == ["alpha-9-9"]


async def test_an_api_that_dies_in_the_middle_sends_nothing_when_it_is_back(desk: Desk) -> None:
    hand = await hand_at(desk)
    await desk.lies({"lie": "lost_request", "endpoints": ["cancel_order"]})
    assert await hand.change() == 202
    await desk.reaches(FIRST, OrderStatus.PENDING_CANCEL)
    assert desk.api is not None
    await desk.api.end()
    await desk.is_honest()
    again = await hand_at(desk)
    await desk.reaches(FIRST, OrderStatus.CANCELED)
    await no_second(desk)
    assert await again.change() == 409
    assert desk.resting() == ["alpha-9-9"]


async def test_two_copies_of_the_api_that_are_asked_at_once_make_one_order(desk: Desk) -> None:
    one = await hand_at(desk)
    other_copy: Part | None = desk.api
    two = await hand_at(desk)
    try:
        answers = await asyncio.gather(
            *(hand.change(price=f"3{n}000.00") for n, hand in enumerate((one, two, one, two)))
        )
        assert answers.count(202) in (1, 2)
        await desk.reaches(SECOND, OrderStatus.ACCEPTED)
        await desk.rest_order("alpha-9-9")
        await never_two(desk)
        assert [name for name, _ in desk.venue_orders("manual")] == [FIRST, SECOND]
        assert (await sizes(desk))[0] == Decimal(WANTED)
    finally:
        assert other_copy is not None
        await other_copy.end()


async def test_a_kill_switch_in_the_middle_leaves_nothing_at_work(desk: Desk) -> None:
    hand = await hand_at(desk)
    await desk.lies({"lie": "late_request", "endpoints": ["cancel_order"], "ms": 100})
    assert await hand.change() == 202
    await desk.engage("firm")
    await desk.comes_to(KillStage.FLAT)

    async def is_over() -> bool:
        given_up = (await hand.get("/audit?action=order.replace.given-up"))["rows"]
        seconds = await desk.store.orders_by_id([ClientOrderId(SECOND)])
        return bool(given_up) or any(order.status.is_closed for order in seconds)

    await until(is_over)
    assert desk.resting() == []
