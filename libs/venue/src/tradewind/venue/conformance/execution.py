"""The checks that every execution adapter must pass. See ``EXECUTION_CHECKS``."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import msgspec

from tradewind.model.identifiers import ClientOrderId, InstrumentId
from tradewind.model.order_status import OrderStatus
from tradewind.venue.adapter import (
    ExecutionClient,
    NewOrder,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    VenueError,
    VenueRejected,
    VenueUnavailable,
)
from tradewind.venue.conformance.checking import (
    NotConforming,
    all_log_lines,
    nothing_left,
    require,
    require_no_secret,
    require_one_sentence,
    until,
)
from tradewind.venue.conformance.execution_counterpart import ExecutionCounterpart
from tradewind.venue.reports import FillReport, OrderStatusReport, StreamEvent, StreamInterrupted, StreamResumed

CLOCKS_APART_NS: Final = 60_000_000_000
"""A venue's time of an event of now may differ from ours by so much."""
_PAUSE_S: Final = 0.02


class Account:
    """A connected client, and all that its stream said."""

    def __init__(self, venue: ExecutionCounterpart, client: ExecutionClient) -> None:
        self.venue = venue
        self.client = client
        self.events: list[StreamEvent] = []

    async def read(self) -> None:
        """Read the stream until cancelled."""
        async for event in self.client.stream():
            self.events.append(event)

    async def send(self, order: NewOrder) -> Sequence[OrderStatusReport | FillReport]:
        """Send an order; ``on_first_byte`` must be called exactly once when it is answered."""
        written: list[int] = []
        reports = await self.client.prepare_order(order).send(lambda: written.append(1))
        require(len(written) == 1, f"on_first_byte is called once for an order, and was {len(written)} times")
        return reports

    async def until_told(self, condition: Callable[[], object], wanted: str) -> None:
        """Wait for what the stream says."""
        await until(condition, wanted, lambda: f"the stream said {self.events[-6:]}")

    def statuses(self, name: str) -> list[OrderStatus]:
        """What the stream said of an order, in its order."""
        return [e.status for e in self.events if isinstance(e, OrderStatusReport) and e.client_order_id == name]

    def fills(self) -> list[FillReport]:
        """The executions that the stream told."""
        return [event for event in self.events if isinstance(event, FillReport)]

    def count(self, kind: type[object]) -> int:
        """How many events of one kind the stream said."""
        return sum(isinstance(event, kind) for event in self.events)

    async def open_names(self) -> list[ClientOrderId | None]:
        """Names of the orders that the venue says are open."""
        return [report.client_order_id for report in await self.client.open_orders()]


@contextlib.asynccontextmanager
async def trading(venue: ExecutionCounterpart) -> AsyncIterator[Account]:
    """A connected client whose stream is up and read."""
    client = venue.make_client()
    account = Account(venue, client)
    try:
        await client.connect()
        reading = asyncio.create_task(account.read(), name="client.stream")
        try:
            await account.until_told(lambda: account.events, "StreamResumed, the first word of the stream")
            require(isinstance(account.events[0], StreamResumed), "a stream begins with StreamResumed")
            yield account
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
    finally:
        await client.close()


# -- what the venue answers --------------------------------------------------------------------------------------------


async def an_order_that_rests_is_acknowledged(venue: ExecutionCounterpart) -> None:
    """ACCEPTED in the answer, on the stream and when asked; the venue has it once; its times are of now."""
    async with trading(venue) as account:
        order = venue.resting("rests")
        reports = await account.send(order)
        require(reports, "an accepted order is answered by a report")
        report = reports[-1]
        if not isinstance(report, OrderStatusReport):
            raise NotConforming(f"the last report of an answer is the order's status, not {report}")
        wanted = (OrderStatus.ACCEPTED, order.client_order_id, order.size, order.price, 0)
        found = (report.status, report.client_order_id, report.size, report.price, report.filled_size)
        require(found == wanted, f"the answer must say {wanted} and says {found}")
        require(abs(report.ts_event - time.time_ns()) < CLOCKS_APART_NS, "ts_event is nanoseconds UTC of the venue")
        asked = await account.client.order_status(venue.instrument_id, order.client_order_id)
        require(asked.venue_order_id == report.venue_order_id, "the answer and the question name one order")
        require(await account.open_names() == ["rests"], "open_orders has it")
        await account.until_told(lambda: OrderStatus.ACCEPTED in account.statuses("rests"), "ACCEPTED on the stream")
        require(await venue.times_taken("rests") == 1, "the venue took one order")


async def a_refused_order_is_rejected(venue: ExecutionCounterpart) -> None:
    """VenueRejected with the venue's reason, and nothing rests."""
    async with trading(venue) as account:
        try:
            await account.client.prepare_order(venue.refused("refused")).send(lambda: None)
        except VenueRejected as error:
            require_one_sentence(error)
            require(error.reason, "a refusal has the venue's reason")
        else:
            raise NotConforming("an order that the venue refuses must raise VenueRejected")
        require(await account.open_names() == [], "nothing rests of a refused order")


async def an_order_of_an_unknown_instrument_is_refused_before_it_is_sent(venue: ExecutionCounterpart) -> None:
    """``prepare_order`` raises VenueRejected that names it."""
    async with trading(venue) as account:
        order = msgspec.structs.replace(venue.resting("nowhere"), instrument_id=InstrumentId("NOSUCH.VENUE"))
        try:
            account.client.prepare_order(order)
        except VenueRejected as error:
            require_one_sentence(error, "NOSUCH")
        else:
            raise NotConforming("prepare_order of an instrument that is not configured must raise VenueRejected")


async def a_cancel_is_answered_and_may_be_repeated(venue: ExecutionCounterpart) -> None:
    """CANCELED; again: a refusal, never an error of ours; the order is gone."""
    async with trading(venue) as account:
        name = ClientOrderId("gone")
        await account.send(venue.resting(name))
        reports = await account.client.cancel_order(venue.instrument_id, name)
        found = [(report.client_order_id, report.status) for report in reports]
        require((name, OrderStatus.CANCELED) in found, f"a cancel is answered with CANCELED, and was with {found}")
        require(await account.open_names() == [], "a cancelled order is not open")
        try:
            await account.client.cancel_order(venue.instrument_id, name)
        except VenueRejected:
            pass  # what a venue says of an order that is no more
        else:
            raise NotConforming("the cancel of an order that is gone must raise OrderNotFound")
        await account.until_told(lambda: OrderStatus.CANCELED in account.statuses(name), "CANCELED on the stream")


async def an_execution_is_told_once_with_one_name(venue: ExecutionCounterpart) -> None:
    """The stream's fills are those that are asked for, each once, and add up to the order."""
    async with trading(venue) as account:
        order = venue.crossing("takes")
        await account.send(order)
        await account.until_told(
            lambda: sum(fill.size for fill in account.fills()) == order.size, f"fills of {order.size} in all"
        )
        await account.until_told(lambda: OrderStatus.FILLED in account.statuses("takes"), "FILLED on the stream")
        names = [fill.trade_id for fill in account.fills()]
        require(len(names) == len(set(names)), f"an execution is told once: {names}")
        asked = await account.client.fills(venue.instrument_id, since_ns=time.time_ns() - CLOCKS_APART_NS)
        require({fill.trade_id for fill in asked} == set(names), "asked for and told are the same executions")
        for fill in (*asked, *account.fills()):
            require(fill.price > 0 < fill.size, "prices and sizes are mantissas above 0")
            require(fill.fee_currency, "a fee has a currency")
            require(abs(fill.ts_event - time.time_ns()) < CLOCKS_APART_NS, "ts_event is nanoseconds UTC of the venue")


async def an_order_nobody_knows_is_not_found(venue: ExecutionCounterpart) -> None:
    """OrderNotFound; open orders of none are an empty answer."""
    async with trading(venue) as account:
        try:
            await account.client.order_status(venue.instrument_id, ClientOrderId("never"))
        except OrderNotFound as error:
            require_one_sentence(error)
        else:
            raise NotConforming("the status of an unknown order must raise OrderNotFound")
        require(await account.open_names() == [], "no order is open")
        status = await account.client.mass_status(time.time_ns() - CLOCKS_APART_NS)
        require(status.balances.snapshot and not status.open_orders, "a mass status is whole")


# -- the first byte ----------------------------------------------------------------------------------------------------


async def a_prepared_order_is_sent_at_most_once(venue: ExecutionCounterpart) -> None:
    """A second ``send`` raises and writes nothing; a prepared order that is thrown away was never sent."""
    async with trading(venue) as account:
        account.client.prepare_order(venue.resting("thrown-away"))
        prepared = account.client.prepare_order(venue.resting("once"))
        await prepared.send(lambda: None)
        try:
            await prepared.send(lambda: None)
        except RuntimeError as error:
            require_one_sentence(error)
        except VenueError as error:
            raise NotConforming(f"a second send must raise RuntimeError before it writes, not {error!r}") from error
        else:
            raise NotConforming("a second send of one prepared order must raise RuntimeError")
        require(await account.open_names() == ["once"], "one order rests")


async def a_write_that_is_forbidden_sends_nothing(venue: ExecutionCounterpart) -> None:
    """What ``on_first_byte`` raises passes, and the order is not sent; the next one is."""
    async with trading(venue) as account:

        def forbid() -> None:
            raise PermissionError("the lease is gone")

        try:
            await account.client.prepare_order(venue.resting("never")).send(forbid)
        except PermissionError:
            pass  # it passed, as it must
        else:
            raise NotConforming("what on_first_byte raises must pass")
        await account.send(venue.resting("later"))
        require(await account.open_names() == ["later"], "only the order that was allowed rests")
        require(await venue.times_taken("never") == 0, "the venue never saw the order that was forbidden")


async def nothing_is_written_to_a_venue_that_is_away(venue: ExecutionCounterpart) -> None:
    """VenueUnavailable, ``on_first_byte`` is not called, and the order does not come later by itself."""
    async with trading(venue) as account:
        await venue.order_link.stop()
        await venue.stream_link.stop()
        await account.until_told(lambda: account.count(StreamInterrupted), "StreamInterrupted")
        written: list[int] = []
        try:
            await account.client.prepare_order(venue.resting("away")).send(lambda: written.append(1))
        except VenueUnavailable as error:
            require_one_sentence(error)
        else:
            raise NotConforming("an order to a venue that is away must raise VenueUnavailable")
        require(not written, "on_first_byte is not called when nothing is written")
        await _come_back(venue, account)
        require(await venue.times_taken("away") == 0, "an order that was unavailable never arrives later")


async def an_answer_that_is_lost_is_an_unknown_outcome(venue: ExecutionCounterpart) -> None:
    """OutcomeUnknown once bytes left; the order is asked for afterwards; the venue has it exactly once."""
    async with trading(venue) as account:
        name = ClientOrderId("unknown")
        venue.order_link.holds_answers = True
        sending = asyncio.create_task(account.client.prepare_order(venue.resting(name)).send(lambda: None))
        while not await venue.times_taken(name):
            require(not sending.done(), f"an order without an answer was answered: {sending}")
            await asyncio.sleep(_PAUSE_S)
        venue.order_link.cut()
        try:
            await sending
        except OutcomeUnknown as error:
            require_one_sentence(error)
        except VenueError as error:
            raise NotConforming(f"an order whose answer is lost must raise OutcomeUnknown, not {error!r}") from error
        else:
            raise NotConforming("an order whose answer is lost must raise OutcomeUnknown")
        venue.order_link.holds_answers = False
        report = await _asked_for(account, name)
        require(report.status is OrderStatus.ACCEPTED, f"the order rests, and is said to be {report.status}")
        require(await venue.times_taken(name) == 1, "the venue took one order: nothing is ever sent again")


async def a_question_to_a_venue_that_is_away_is_unavailable(venue: ExecutionCounterpart) -> None:
    """Neither empty nor not found."""
    async with trading(venue) as account:
        await venue.stop()
        for ask in (
            account.client.open_orders,
            account.client.balances,
            lambda: account.client.order_status(venue.instrument_id, ClientOrderId("x")),
            lambda: account.client.mass_status(0),
        ):
            try:
                await ask()
            except VenueUnavailable:
                continue
            raise NotConforming("a question without an answer must raise VenueUnavailable")


async def a_rate_limit_is_told_with_a_time(venue: ExecutionCounterpart) -> None:
    """RateLimited says after how long to come back, and nothing was taken."""
    async with trading(venue) as account:
        await venue.limit_rate()
        name = ClientOrderId("limited")
        try:
            await account.send(venue.resting(name))
        except RateLimited as error:
            require(error.retry_after_s > 0, "RateLimited says how long to wait")
            require(await venue.times_taken(name) == 0, "what is refused by the rate limit was not taken")
        else:
            raise NotConforming("an order that the venue's rate limit refuses must raise RateLimited")


# -- the private stream ------------------------------------------------------------------------------------------------


async def a_stream_that_breaks_loses_no_report(venue: ExecutionCounterpart) -> None:
    """Interrupted and resumed are told; what happened meanwhile is on the stream or in a mass status."""
    async with trading(venue) as account:
        began_ns = time.time_ns() - CLOCKS_APART_NS
        await account.send(venue.resting("before"))
        venue.stream_link.cut()
        await account.until_told(lambda: account.count(StreamInterrupted), "StreamInterrupted")
        await account.until_told(lambda: account.count(StreamResumed) >= 2, "a second StreamResumed")
        order = venue.crossing("meanwhile")
        await _sent_when_possible(account, order)
        await account.until_told(
            lambda: sum(fill.size for fill in account.fills()) >= order.size, "the executions on the stream"
        )
        status = await account.client.mass_status(began_ns)
        require([one.client_order_id for one in status.open_orders] == ["before"], "the mass status has open orders")
        names = [fill.trade_id for fill in account.fills()]
        require(len(names) == len(set(names)), f"an execution is told once: {names}")
        require({fill.trade_id for fill in status.fills} == set(names), "the mass status has the same executions")


async def what_happens_while_the_stream_is_down_is_found(venue: ExecutionCounterpart) -> None:
    """An order that was taken while its answer was lost and the stream was down is in the mass status."""
    async with trading(venue) as account:
        venue.order_link.holds_answers = venue.stream_link.holds_answers = True
        name = ClientOrderId("unseen")
        sending = asyncio.create_task(account.client.prepare_order(venue.crossing(name)).send(lambda: None))
        while not await venue.times_taken(name):
            await asyncio.sleep(_PAUSE_S)
        venue.order_link.cut()
        venue.stream_link.cut()
        outcome = (await asyncio.gather(sending, return_exceptions=True))[0]
        require(isinstance(outcome, OutcomeUnknown), f"the outcome is unknown, and was {outcome!r}")
        venue.order_link.holds_answers = venue.stream_link.holds_answers = False
        await account.until_told(lambda: account.count(StreamResumed) >= 2, "a second StreamResumed")
        status = await account.client.mass_status(time.time_ns() - CLOCKS_APART_NS)
        require(sum(fill.size for fill in status.fills) == venue.crossing(name).size, "the execution is found")


# -- keys and the end --------------------------------------------------------------------------------------------------


async def wrong_credentials_are_said(venue: ExecutionCounterpart) -> None:
    """``connect`` raises a VenueError in one sentence, without the credentials."""
    client = venue.make_client(wrong_key=True)
    secrets = venue.settings(wrong_key=True).api_secret
    try:
        await client.connect()
    except VenueError as error:
        require_one_sentence(error)
        require_no_secret((secrets,), {"an error": str(error)})
    else:
        raise NotConforming("connect with wrong credentials must raise VenueError")
    finally:
        await client.close()


async def a_trader_who_stops_leaves_nothing(venue: ExecutionCounterpart) -> None:
    """No task, thread or socket stays."""
    async with nothing_left(), trading(venue) as account:
        await account.send(venue.resting("stays"))


async def no_key_is_shown(venue: ExecutionCounterpart) -> None:
    """Neither in a representation nor in a log, at any level, also when things break."""
    with all_log_lines() as lines:
        async with trading(venue) as account:
            await account.send(venue.resting("quiet"))
            with contextlib.suppress(VenueError):
                await account.client.prepare_order(venue.refused("loud")).send(lambda: None)
            venue.stream_link.cut()
            await account.until_told(lambda: account.count(StreamResumed) >= 2, "a second StreamResumed")
            prepared = repr(account.client.prepare_order(venue.resting("shown")))
            shown = {"repr of the client": repr(account.client), "repr of a prepared order": prepared}
            shown["the stream"] = repr(account.events)
    shown |= {"repr of the settings": repr(venue.settings()), "the log": "\n".join(lines)}
    require_no_secret(venue.secrets, shown)


async def _come_back(venue: ExecutionCounterpart, account: Account) -> None:
    resumed = account.count(StreamResumed)
    for link in {venue.order_link, venue.stream_link}:
        await link.start(link.target_port)
    await account.until_told(lambda: account.count(StreamResumed) > resumed, "StreamResumed")
    await _sent_when_possible(account, venue.resting("back"))


async def _sent_when_possible(account: Account, order: NewOrder) -> None:
    """Send once the connections are open again: VenueUnavailable means that nothing left."""
    while True:
        try:
            await account.send(order)
        except VenueUnavailable:
            await asyncio.sleep(_PAUSE_S)
        else:
            return


async def _asked_for(account: Account, name: ClientOrderId) -> OrderStatusReport:
    while True:
        try:
            return await account.client.order_status(account.venue.instrument_id, name)
        except (OrderNotFound, VenueUnavailable):
            await asyncio.sleep(_PAUSE_S)


ExecutionCheck = Callable[[ExecutionCounterpart], Awaitable[None]]
EXECUTION_CHECKS: Final[tuple[ExecutionCheck, ...]] = (
    an_order_that_rests_is_acknowledged,
    a_refused_order_is_rejected,
    an_order_of_an_unknown_instrument_is_refused_before_it_is_sent,
    a_cancel_is_answered_and_may_be_repeated,
    an_execution_is_told_once_with_one_name,
    an_order_nobody_knows_is_not_found,
    a_prepared_order_is_sent_at_most_once,
    a_write_that_is_forbidden_sends_nothing,
    nothing_is_written_to_a_venue_that_is_away,
    an_answer_that_is_lost_is_an_unknown_outcome,
    a_question_to_a_venue_that_is_away_is_unavailable,
    a_rate_limit_is_told_with_a_time,
    a_stream_that_breaks_loses_no_report,
    what_happens_while_the_stream_is_down_is_found,
    wrong_credentials_are_said,
    a_trader_who_stops_leaves_nothing,
    no_key_is_shown,
)
"""All of them; each is run against a counterpart of its own (``run_check``)."""
