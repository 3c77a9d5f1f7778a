"""The execution engine: commands and reports in, plans out. No I/O, no clock, no tasks.

Order of a life: a command is deduped, checked and planned as INITIALIZED + SUBMITTED (or DENIED); the caller commits
the plan and only then sends. Reports move the order by the transition table; a report without news plans nothing.

Memory is changed while planning. If a commit fails, the caller throws the engine away and loads a new one from the
store: there is one recovery path, and it is the start.
"""

import copy
from collections.abc import Iterable, Mapping
from decimal import Decimal

from tradewind.execution.command_planning import CommandPlanner
from tradewind.execution.ledger import Ledger
from tradewind.execution.limits import DenyCode, RiskLimits
from tradewind.execution.operator_planning import OperatorPlanner
from tradewind.execution.plans import Plan
from tradewind.execution.recent import Recent
from tradewind.execution.report_planning import ReportPlanner
from tradewind.execution.risk import RiskChecks
from tradewind.execution.stories import OrderStories, SendTimes
from tradewind.model.enums import Outcome, TradingState
from tradewind.model.identifiers import (
    EXTERNAL,
    AccountId,
    ClientOrderId,
    InstrumentId,
    StrategyId,
    TradeId,
    VenueOrderId,
)
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.store.order_store import OrderBatch
from tradewind.store.recovery_rows import ReconciliationRow, RecoveryRows
from tradewind.venue.reports import FillReport, OrderStatusReport, Report
from tradewind.wire import events, topics
from tradewind.wire.commands import BeginStrategyRun, CancelOrder, OperatorCommand, OrderCommand, SubmitOrder
from tradewind.wire.messages import EventIds


class ExecutionEngine:
    """The order path of one account, in memory."""

    def __init__(
        self, account_id: AccountId, instruments: Iterable[Instrument], limits: RiskLimits, event_ids: EventIds
    ) -> None:
        self.account_id = account_id
        self.instruments: dict[InstrumentId, Instrument] = {i.instrument_id: i for i in instruments}
        self.ledger = Ledger(account_id)
        self.risk = RiskChecks(limits, self.ledger, self.instruments)
        self._stories = OrderStories(account_id, self.instruments, self.ledger, self.risk, event_ids)
        self._commands = CommandPlanner(self._stories)
        self._reports = ReportPlanner(self._stories)
        self._operators = OperatorPlanner(self._stories)

    # -- state -----------------------------------------------------------------------------------------------------

    @property
    def orders(self) -> dict[ClientOrderId, Order]:
        """Orders without a known end."""
        return self._stories.orders

    @property
    def incomplete(self) -> Recent[ClientOrderId, OrderStatusReport]:
        """Orders of which the venue counts more fills than we have: their fills must be asked for."""
        return self._reports.incomplete

    @property
    def orphans(self) -> Recent[TradeId, FillReport]:
        """Fills of orders that are not in memory: load or ask for the order, then plan the fill again."""
        return self._reports.orphans

    @property
    def duplicates(self) -> int:
        """Commands that had been taken before."""
        return self._commands.duplicates

    @property
    def impossible_reports(self) -> int:
        """Fills that the transition table does not allow."""
        return self._reports.impossible

    @property
    def not_ready_reason(self) -> str | None:
        """Why new orders are denied now; None when they are not."""
        return self._commands.not_ready_reason

    @not_ready_reason.setter
    def not_ready_reason(self, reason: str | None) -> None:
        self._commands.not_ready_reason = reason

    # -- loading ---------------------------------------------------------------------------------------------------

    def load_orders(self, orders: Iterable[Order]) -> None:
        """Take over unfinished orders from the store."""
        for order in orders:
            self._stories.remember(order)

    def load_trade_ids(self, trade_ids: Iterable[TradeId]) -> None:
        """Take over the trade ids that the store has already applied."""
        for trade_id in trade_ids:
            self._reports.trade_ids.put(trade_id, None)

    def load_ended(self, orders: Iterable[Order]) -> None:
        """Take over orders that memory had forgotten, so that late reports and repeated commands find them."""
        self._stories.load_ended(orders)

    def find(self, client_order_id: ClientOrderId) -> Order | None:
        """An order in memory, open or lately ended."""
        return self._stories.find(client_order_id)

    def find_at_venue(self, instrument_id: InstrumentId, venue_order_id: VenueOrderId) -> Order | None:
        """The order in memory that the venue calls so."""
        return self._stories.find_at_venue(instrument_id, venue_order_id)

    def unfamiliar(self, reports: Iterable[Report]) -> list[OrderStatusReport | FillReport]:
        """Those that nothing in memory is about: before they are taken, the store must be asked for their orders."""
        return [
            report
            for report in reports
            if isinstance(report, OrderStatusReport | FillReport)
            and self.find_at_venue(report.instrument_id, report.venue_order_id) is None
            and not self._reports.may_place(report)
        ]

    def set_trading_state(self, scope: str, state: TradingState) -> None:
        """The risk service's persisted word on a scope."""
        self.risk.set_trading_state(scope, state)

    def begin_run(self, strategy_id: StrategyId, run: int) -> None:
        """The start ``run`` of a strategy trades from now on: new orders of earlier starts are denied."""
        self._commands.begin_run(strategy_id, run)

    def note_sent(self, client_order_id: ClientOrderId, durable_ns: int, sent_ns: int) -> None:
        """The first byte of an order went towards the venue; the first word after it will say when."""
        if client_order_id in self.orders:
            self._stories.sends[client_order_id] = SendTimes(ts_durable=durable_ns, ts_sent=sent_ns)

    # -- planning --------------------------------------------------------------------------------------------------

    def plan_commands(self, commands: Iterable[OrderCommand | BeginStrategyRun], now_ns: int) -> Plan:
        """What a batch of commands asks for, after dedupe and risk."""
        return self._plan_commands(commands, now_ns, flattening=False)

    def plan_flattening(self, commands: Iterable[SubmitOrder], now_ns: int) -> Plan:
        """Orders of a kill switch's own pass: they pass while HALTED, as long as each only makes its book smaller."""
        return self._plan_commands(commands, now_ns, flattening=True)

    def _plan_commands(
        self, commands: Iterable[OrderCommand | BeginStrategyRun], now_ns: int, *, flattening: bool
    ) -> Plan:
        self._stories.begin(now_ns)
        for command in commands:
            self._stories.cause = command.event_id
            if isinstance(command, SubmitOrder):
                self._commands.submit(command, flattening=flattening)
            elif isinstance(command, BeginStrategyRun):
                self._commands.begin_run(command.strategy_id, command.run)
            elif isinstance(command, CancelOrder):
                self._commands.cancel(command.client_order_id)
            else:
                self._commands.cancel_all(command)
        return self._stories.finish()

    def plan_reports(self, reports: Iterable[Report], now_ns: int) -> Plan:
        """What a batch of the venue's reports changes. The same reports again plan nothing."""
        self._stories.begin(now_ns)
        for report in reports:
            self._reports.take(report)
        return self._stories.finish()

    def plan_unknown(self, client_order_id: ClientOrderId, reason: str, now_ns: int) -> Plan:
        """The outcome of the last send for an order cannot be told."""
        self._stories.begin(now_ns)
        order = self.orders.get(client_order_id)
        if order is not None and order.outcome is Outcome.KNOWN:
            order.outcome = Outcome.UNKNOWN
            order.unknown_since = now_ns
            self._stories.emit(order, events.OrderOutcomeUnknown, reason=reason)
        return self._stories.finish()

    def plan_not_sent(self, client_order_id: ClientOrderId, reason: str, now_ns: int) -> Plan:
        """It is certain that nothing rests at the venue: the venue refused, or no byte left, or full queries past the
        visibility delay do not show it."""
        self._stories.begin(now_ns)
        order = self.orders.get(client_order_id)
        if order is not None and order.status.is_closed:
            self._stories.resolve(order, reason)
        if order is not None and order.status is OrderStatus.SUBMITTED:
            self._stories.resolve(order, reason)
            order.reason = reason
            self._stories.move(order, OrderStatus.REJECTED, events.OrderRejected, reason=reason)
        return self._stories.finish()

    def plan_operators(self, commands: Iterable[OperatorCommand], now_ns: int) -> Plan:
        """What operators' words change; each leaves an audit line. Load the orders that they name before."""
        self._stories.begin(now_ns)
        for command in commands:
            self._stories.cause = command.event_id
            self._operators.take(command)
        return self._stories.finish()

    def plan_comparison(self, row: ReconciliationRow, now_ns: int) -> Plan:
        """Another answer than before to how the venue's balances compare with our books."""
        self._stories.begin(now_ns)
        self._stories.plan.recovery = RecoveryRows(reconciliations=[row])
        message = events.BooksCompared(
            event_id=self._stories.new_event_id(),
            correlation_id=f"reconciliation:{self.account_id}",
            causation_id="",
            ts_event=row.ts,
            ts_init=now_ns,
            account_id=self.account_id,
            differences=row.differences,
        )
        self._stories.say(topics.ACCOUNT_EVENTS, message)
        return self._stories.finish()

    def plan_cancel_refused(self, client_order_id: ClientOrderId, reason: str, now_ns: int) -> Plan:
        """A cancel did not take effect; the order has its previous status again."""
        self._stories.begin(now_ns)
        order = self.orders.get(client_order_id)
        if order is not None and order.status is OrderStatus.PENDING_CANCEL:
            order.restore()
            self._stories.emit(order, events.OrderCancelRejected, reason=reason)
        return self._stories.finish()

    def plan_refusals(self, commands: Iterable[SubmitOrder], code: DenyCode, now_ns: int) -> Plan:
        """Durable denials of commands that were refused in words while the store was away."""
        self._stories.begin(now_ns)
        for command in commands:
            self._stories.cause = command.event_id
            self._commands.refuse(command, code)
        return self._stories.finish()

    def plan_risk(self, now_ns: int) -> Plan:
        """What risk must have stored though no order moved: a day that began, a new peak."""
        self._stories.begin(now_ns)
        return self._stories.finish()

    def plan_opening(self, amounts: Mapping[str, Decimal], now_ns: int) -> Plan:
        """Book what the account was first seen with to EXTERNAL, so that the books add up to the whole account."""
        self._stories.begin(now_ns)
        for currency, amount in amounts.items():
            if (EXTERNAL, currency) not in self.ledger.books:
                row = self.ledger.open_currency(currency, amount)
                self._stories.plan.books[row.strategy_id, row.currency] = row
        return self._stories.finish()


def batch_of(plan: Plan) -> OrderBatch:
    """The rows of a plan as one transaction, as they are now: the next plan may be made before this one is written."""
    return OrderBatch(
        new_orders=[copy.copy(order) for order in plan.new_orders.values()],
        orders=[copy.copy(order) for order in plan.changed_orders.values()],
        fills=plan.fills,
        positions=[copy.copy(position) for position in plan.positions.values()],
        books=list(plan.books.values()),
        outgoing=plan.outgoing,
        risk=plan.risk,
        recovery=plan.recovery,
    )
