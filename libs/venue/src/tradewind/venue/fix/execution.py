"""One account over FIX: orders, cancels and the private stream; questions go to the venue's REST interface.

FIX has no question about balances or past executions that venues agree on; where they offer FIX beside REST, as Binance
does, the facts are the same. ``stream`` says StreamResumed after each logon, and its reader then asks for all of them,
so what was missed while a session was down is found even where the venue does not send it again.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import (
    NewOrder,
    OrderNotFound,
    OutcomeUnknown,
    PreparedOrder,
    VenueRejected,
    nothing_to_ask,
)
from tradewind.venue.binance.account_queries import AccountQueries
from tradewind.venue.binance.rest import BinanceRest
from tradewind.venue.binance.rest_answers import RestAnswers
from tradewind.venue.fix import messages
from tradewind.venue.fix.session import FixLink, FixMessage, LoggedOff, LoggedOn, next_cancel_number
from tradewind.venue.fix_fields import utc_timestamp
from tradewind.venue.reports import (
    FillReport,
    OrderStatusReport,
    Report,
    StreamEvent,
    StreamInterrupted,
    StreamResumed,
)
from tradewind_native.fix_records import FixMessageError

ANSWER_TIMEOUT_S: Final = 5.0
VISIBILITY_DELAY_S: Final = 7.0
"""For so long after an order's send the venue's queries may not show it."""
_REMEMBERED: Final = 65_536
_CANCEL_REFUSED: Final = "9"
_EXECUTION_REPORT: Final = "8"
_UNKNOWN_ORDER: Final = "1"


class FixExecutionClient(RestAnswers):
    """See ``ExecutionClient``."""

    def __init__(
        self,
        account_id: AccountId,
        link: FixLink,
        queries: AccountQueries,
        rest: BinanceRest,
        *,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        visibility_delay_s: float = VISIBILITY_DELAY_S,
    ) -> None:
        super().__init__(account_id, queries, visibility_delay_s)
        self.link = link
        self.answer_timeout_s = answer_timeout_s
        self._rest = rest
        self._seen: dict[str, None] = {}
        """ExecIDs, oldest first: the drop copy says the same again, and so does a resend."""
        self._run = f"{time.time_ns():x}"

    async def connect(self) -> None:
        """Check the clock, the instruments and the key over REST, and log on. Raises VenueError."""
        await self._rest.learn_time()
        await self._queries.instruments()
        await self._queries.balances()
        await self.link.open()

    def prepare_order(self, order: NewOrder) -> PreparedOrder:
        """See ``ExecutionClient.prepare_order``.

        Raises:
            VenueRejected: the venue has no such order or instrument; nothing was sent.
        """
        instrument = self._queries.instrument(order.instrument_id)
        message = messages.new_order(order, instrument, utc_timestamp(time.time_ns()))
        return FixPreparedOrder(self, instrument, order.client_order_id, message)

    async def cancel_order(
        self,
        instrument_id: InstrumentId,
        client_order_id: ClientOrderId,
        on_first_byte: Callable[[], None] = nothing_to_ask,
        venue_order_id: VenueOrderId | None = None,
    ) -> Sequence[OrderStatusReport]:
        """See ``ExecutionClient.cancel_order``. VenueUnavailable: nothing was sent."""
        instrument = self._queries.instrument(instrument_id)
        name = f"x{self._run}-{next_cancel_number():x}"
        sent = utc_timestamp(time.time_ns())
        message = messages.cancel(name, instrument, client_order_id, venue_order_id, sent)
        answer = await self.link.ask(name, message, on_first_byte, self.answer_timeout_s, "cancel")
        if answer.fields.get(35) == _CANCEL_REFUSED:
            reason = answer.fields.get(58, "the venue refused the cancel")
            if answer.fields.get(102) == _UNKNOWN_ORDER:
                raise OrderNotFound(int(_UNKNOWN_ORDER), reason)
            raise VenueRejected(0, reason)
        return [self.read_status(answer, instrument)]

    async def close(self) -> None:
        """Log out and close all connections."""
        await self.link.close()
        await self._rest.close()

    async def stream(self) -> AsyncIterator[StreamEvent]:
        """The private stream, for ever. Read it in one task."""
        while True:
            for happening in await self.link.next_happenings():
                if isinstance(happening, LoggedOn):
                    yield StreamResumed(account_id=self.account_id)
                elif isinstance(happening, LoggedOff):
                    yield StreamInterrupted(account_id=self.account_id, reason=happening.reason)
                else:
                    try:
                        reports = self._reports(happening)
                    except (FixMessageError, messages.WrongReport) as error:
                        # Not understood is not known: its reader must ask for everything.
                        yield StreamInterrupted(account_id=self.account_id, reason=f"a report is unreadable: {error}")
                        yield StreamResumed(account_id=self.account_id)
                        continue
                    for report in reports:
                        yield report

    def read_status(self, message: FixMessage, instrument: Instrument) -> OrderStatusReport:
        """Where an order stands by its answer. Raises OutcomeUnknown."""
        try:
            report = messages.report_of(message.raw, instrument)
            return messages.status_of(report, dict(message.fields), self.account_id, instrument)
        except (FixMessageError, messages.WrongReport) as error:
            raise OutcomeUnknown(f"the venue's answer cannot be read ({error}); ask for the order's status") from error

    def _reports(self, message: FixMessage) -> list[Report]:
        given = dict(message.fields)
        instrument = self._queries.known_instrument(given.get(55, ""))
        if given.get(35) != _EXECUTION_REPORT or instrument is None:
            return []
        report = messages.report_of(message.raw, instrument)
        about_a_question = report.execution_type == messages.ANSWERS_A_QUESTION or given.get(20) == "3"
        if about_a_question or report.order_status == messages.REFUSED or not self._is_new(report.execution_id):
            return []
        status = messages.status_of(report, given, self.account_id, instrument)
        fill = messages.fill_of(report, given, self.account_id, instrument, self.link.address.begin_string)
        return [status] if fill is None else [fill, status]

    def _is_new(self, execution_id: str) -> bool:
        if execution_id in self._seen:
            return False
        self._seen[execution_id] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return True


class FixPreparedOrder:
    """See ``PreparedOrder``. It can be sent once."""

    __slots__ = ("_client", "_instrument", "_message", "_name", "_sent")

    def __init__(self, client: FixExecutionClient, instrument: Instrument, name: ClientOrderId, message: bytes) -> None:
        self._client = client
        self._instrument = instrument
        self._name = name
        self._message = message
        self._sent = False

    async def send(self, on_first_byte: Callable[[], None]) -> Sequence[OrderStatusReport | FillReport]:
        """See ``PreparedOrder.send``.

        Raises:
            RuntimeError: it was sent before.
        """
        if self._sent:
            raise RuntimeError("a prepared order is sent once; ask for the order's status instead")
        self._sent = True
        client = self._client
        answer = await client.link.ask(self._name, self._message, on_first_byte, client.answer_timeout_s, "order")
        if answer.fields.get(39) == messages.REFUSED:
            code = answer.fields.get(103, "0")
            raise VenueRejected(int(code) if code.isdecimal() else 0, answer.fields.get(58, "the venue refused it"))
        # Its executions come over the stream, each as a report of its own.
        return [client.read_status(answer, self._instrument)]
