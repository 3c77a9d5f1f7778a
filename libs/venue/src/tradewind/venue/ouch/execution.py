"""One account over OUCH 4.2: orders, cancels and the private stream; see docs/decisions for what is proved how.

OUCH has no questions. Where an order stands is answered from the replay of the session, which is the venue's own word.
Money, fills of the past and orders of others are asked for at the venue's REST interface, which has the same numbers.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec

from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import (
    NewOrder,
    OrderNotFound,
    OutcomeUnknown,
    PreparedOrder,
    VenueRejected,
    VenueUnavailable,
    nothing_to_ask,
)
from tradewind.venue.binance.account_queries import AccountQueries
from tradewind.venue.binance.rest import BinanceRest
from tradewind.venue.binance.rest_answers import RestAnswers
from tradewind.venue.itch.soupbintcp import DEAD_AFTER_S
from tradewind.venue.ouch.messages import Accepted, Canceled, CancelOrder, Executed, Outbound, Rejected, write_inbound
from tradewind.venue.ouch.record import OuchOrder
from tradewind.venue.ouch.session import Down, OuchLink, Up
from tradewind.venue.ouch.tokens import TokenNames
from tradewind.venue.ouch.translation import FeeRates, enter_order, fill_of, in_shares, status_of
from tradewind.venue.reports import (
    FillReport,
    MassStatus,
    OrderStatusReport,
    Report,
    StreamEvent,
    StreamInterrupted,
    StreamResumed,
)

ANSWER_TIMEOUT_S: Final = 5.0
VISIBILITY_DELAY_S: Final = DEAD_AFTER_S + ANSWER_TIMEOUT_S
"""For longer no server believes in a connection that has died, and nothing that was sent on it can still arrive."""
_NO_SUCH_ORDER: Final = -2013


class ShareQueries(AccountQueries):
    """The venue's REST interface, its instruments with OUCH's prices and sizes."""

    async def instruments(self) -> list[Instrument]:
        """See ``AccountQueries.instruments``."""
        found = []
        for instrument in await self._rest.instruments(self._symbols, self.venue):
            try:
                found.append(in_shares(instrument))
            except ValueError as error:
                raise VenueRejected(0, str(error)) from error
        self._by_symbol.update((instrument.symbol, instrument) for instrument in found)
        return found


class OuchExecutionClient(RestAnswers):
    """See ``ExecutionClient``."""

    def __init__(
        self,
        account_id: AccountId,
        link: OuchLink,
        names: TokenNames,
        queries: ShareQueries,
        rest: BinanceRest,
        rates: FeeRates,
        *,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        visibility_delay_s: float = VISIBILITY_DELAY_S,
    ) -> None:
        super().__init__(account_id, queries, visibility_delay_s)
        self.link = link
        self.names = names
        self.answer_timeout_s = answer_timeout_s
        self._rest = rest
        self._rates = rates

    async def connect(self) -> None:
        """Check the clock, the instruments and the key over REST, log in and take the replay. Raises VenueError."""
        self.names.open()
        await self._rest.learn_time()
        await self._queries.instruments()
        await self._queries.balances()
        await self.link.open()

    def prepare_order(self, order: NewOrder) -> PreparedOrder:
        """See ``ExecutionClient.prepare_order``.

        Raises:
            VenueRejected: OUCH or the venue has no such order or instrument; nothing was sent.
        """
        instrument = self._queries.instrument(order.instrument_id)
        token = self.names.token(order.client_order_id)
        return OuchPreparedOrder(self, token, write_inbound(enter_order(order, instrument, token)))

    async def cancel_order(
        self,
        instrument_id: InstrumentId,
        client_order_id: ClientOrderId,
        on_first_byte: Callable[[], None] = nothing_to_ask,
        venue_order_id: VenueOrderId | None = None,
    ) -> Sequence[OrderStatusReport]:
        """See ``ExecutionClient.cancel_order``. A venue says nothing to a cancel of what is not open: we look here."""
        self._queries.instrument(instrument_id)
        order = self._known(client_order_id, venue_order_id)
        if not self.link.live:
            raise VenueUnavailable("the OUCH session is not logged in; nothing was sent")
        if order is None or not order.is_open:
            raise OrderNotFound(_NO_SUCH_ORDER, "the OUCH session has no such open order; nothing was sent")
        token = order.accepted.token
        message = write_inbound(CancelOrder(token=token))
        await self.link.ask(
            token, message, on_first_byte, self.answer_timeout_s, "cancel", enough=lambda _: not self._is_open(token)
        )
        return [self.status_by_token(token)]

    async def order_status(
        self,
        instrument_id: InstrumentId,
        client_order_id: ClientOrderId,
        venue_order_id: VenueOrderId | None = None,
    ) -> OrderStatusReport:
        """See ``ExecutionClient.order_status``.

        Raises:
            OrderNotFound: rejected; or a login made after this call, with the whole replay, did not show it.
        """
        self._queries.instrument(instrument_id)
        order = self._known(client_order_id, venue_order_id)
        if not self.link.live and not self.link.connecting:
            raise VenueUnavailable("the OUCH session is not logged in; ask again later")
        if order is not None and self.link.live:
            return self._status(order)
        if venue_order_id is not None and order is None:
            return self._named(await super().order_status(instrument_id, client_order_id, venue_order_id))
        token = self.names.token(client_order_id)
        if token not in self.link.record.rejected:
            await self.link.renew()
        if (order := self._known(client_order_id, venue_order_id)) is not None:
            return self._status(order)
        reason = self.link.record.rejected.get(token)
        why = f"rejected, OUCH reason {reason}" if reason else f"not in session {self.link.record.session!r}"
        raise OrderNotFound(_NO_SUCH_ORDER, f"order {client_order_id} (token {token}): {why}")

    async def orders_from(self, instrument_id: InstrumentId, first: VenueOrderId) -> Sequence[OrderStatusReport]:
        """See ``ExecutionClient.orders_from``."""
        return [self._named(report) for report in await super().orders_from(instrument_id, first)]

    async def open_orders(self) -> Sequence[OrderStatusReport]:
        """See ``ExecutionClient.open_orders``; those of others too."""
        return [self._named(report) for report in await super().open_orders()]

    async def mass_status(self, since_ns: int) -> MassStatus:
        """See ``ExecutionClient.mass_status``."""
        status = await super().mass_status(since_ns)
        return msgspec.structs.replace(status, open_orders=tuple(self._named(each) for each in status.open_orders))

    async def close(self) -> None:
        """Log out and close all connections."""
        await self.link.close()
        await self._rest.close()
        self.names.close()

    async def stream(self) -> AsyncIterator[StreamEvent]:
        """The private stream, until ``close``. Read it in one task: it also makes lost connections again."""
        while happenings := await self.link.next_happenings():
            for happening in happenings:
                if isinstance(happening, Up):
                    yield StreamResumed(account_id=self.account_id)
                elif isinstance(happening, Down):
                    yield StreamInterrupted(account_id=self.account_id, reason=happening.reason)
                else:
                    for report in self._reports(happening):
                        yield report

    def _is_open(self, token: str) -> bool:
        order = self.link.record.orders.get(token)
        return order is not None and order.is_open

    def status_by_token(self, token: str) -> OrderStatusReport:
        """Where an accepted order stands."""
        return self._status(self.link.record.orders[token])

    def _known(self, name: ClientOrderId, venue_order_id: VenueOrderId | None) -> OuchOrder | None:
        if venue_order_id is None:
            return self.link.record.orders.get(self.names.token(name))
        return self.link.record.by_reference(int(venue_order_id)) if venue_order_id.isdecimal() else None

    def _status(self, order: OuchOrder) -> OrderStatusReport:
        instrument = self._queries.known_instrument(order.accepted.stock)
        if instrument is None:
            raise VenueUnavailable(f"{order.accepted.stock} is not among the instruments here")
        return status_of(order, self.names.name(order.accepted.token), self.account_id, instrument)

    def _named(self, report: OrderStatusReport) -> OrderStatusReport:
        """REST calls an order by its token."""
        name = self.names.name(report.client_order_id or "")
        return report if name is None else msgspec.structs.replace(report, client_order_id=name)

    def _reports(self, message: Outbound) -> list[Report]:
        if not isinstance(message, Accepted | Executed | Canceled):
            return []
        order = self.link.record.orders.get(message.token)
        instrument = None if order is None else self._queries.known_instrument(order.accepted.stock)
        if order is None or instrument is None:
            return []
        status = self._status(order)
        if not isinstance(message, Executed):
            return [status]
        name = self.names.name(message.token)
        return [fill_of(message, order, name, self.account_id, instrument, self._rates), status]


class OuchPreparedOrder:
    """See ``PreparedOrder``. It can be sent once."""

    __slots__ = ("_client", "_message", "_sent", "_token")

    def __init__(self, client: OuchExecutionClient, token: str, message: bytes) -> None:
        self._client = client
        self._token = token
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
        client.names.save(self._token)
        if client.link.record.knows(self._token):
            raise VenueRejected(0, "the venue knows an order of this name already; nothing was sent")
        answer = await client.link.ask(self._token, self._message, on_first_byte, client.answer_timeout_s, "order")
        if isinstance(answer, Rejected):
            raise VenueRejected(0, f"the venue rejects the order, OUCH reason {answer.reason}")
        try:
            # Its executions come over the stream, each as a report of its own.
            return [client.status_by_token(self._token)]
        except (KeyError, VenueUnavailable) as error:
            raise OutcomeUnknown(f"the answer is not in the record any more ({error}); ask for its status") from error
