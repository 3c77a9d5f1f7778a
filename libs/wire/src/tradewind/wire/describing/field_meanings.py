"""What each field of a message means, with its unit. One text per name; a type may narrow it.

Both descriptions of the protocol take their words from here. A test fails when a field has no meaning here, or when a
meaning has no field.
"""

from collections.abc import Mapping
from typing import Final

COMMON: Final[Mapping[str, str]] = {
    "event_id": "names the message for ever; consumers dedupe on it",
    "correlation_id": "the whole story that the message belongs to",
    "causation_id": "the message that directly caused it; empty when none did",
    "ts_event": "when the thing happened, ns since the Unix epoch, UTC",
    "ts_init": "when this message was made, ns since the Unix epoch, UTC",
}
"""Of every message."""

MEANINGS: Final[Mapping[str, str]] = {
    **COMMON,
    "account_id": "venue account, `VENUE-name`",
    "acknowledged_by": "who knows of it and works on it; null: nobody said so",
    "action": "what was done",
    "actor": "who asked for it",
    "after": "the value after it",
    "alert_id": "number of the alert: one for each condition and what it is about, for ever",
    "at_venue": "what the venue says there is, exact, in `currency`",
    "average_price": "average entry price, exact, in quote currency",
    "balances": "one entry per currency",
    "base_currency": "the currency that is bought and sold",
    "before": "the value before it",
    "client_order_id": "our name of the order, made once per intent (FIX ClOrdID)",
    "count": "times that it was opened",
    "currency": "currency code of the amounts beside it",
    "detail": "why, in words",
    "differences": "currencies that differ; empty when all agree",
    "dust": "positions too small for the venue's smallest order, as in `positions`",
    "expire_time": "for GTD: when the order expires, ns since the Unix epoch, UTC",
    "fee": "fee of this fill, exact, in `fee_currency`; negative is a rebate",
    "fee_currency": "currency code of the fee",
    "fees": "fees paid so far, exact, in `currency`",
    "filled_size": "size filled in total after this fill, mantissa at the instrument's size precision",
    "first_at": "when it was opened last, ns since the Unix epoch, UTC",
    "flatten": "close the positions too",
    "force": "although it was not proven flat",
    "free": "what can be used, exact, in `currency`",
    "in_books": "what the books add up to, exact, in `currency`",
    "instrument": "the instrument as its venue defines it",
    "instrument_id": "`SYMBOL.VENUE`",
    "key": "key of the message on its topic",
    "kill_id": "number of the kill switch's engagement",
    "last_at": "when it was last seen to be so, ns since the Unix epoch, UTC",
    "liquidity_side": "whether we made or took liquidity (FIX LastLiquidityInd)",
    "locked": "what resting orders reserve, exact, in `currency`",
    "max_price": "largest price, mantissa at the price precision",
    "max_size": "largest size of an order, mantissa at the size precision",
    "message_type": "type of the message that was put aside",
    "message_version": "its version; 0 when not known",
    "min_notional": "smallest price times size of an order, exact, in quote currency",
    "min_size": "smallest size of an order, mantissa at the size precision",
    "name": "the condition, as it is named in docs/operating",
    "offset": "its place in its partition, from 0; -1 where the broker does not say it",
    "open_orders": "orders of the scope without a known end, by our word or the venue's",
    "order_type": "FIX OrdType",
    "page": "page of the operators' handbook that says what to do; empty when none does",
    "partition": "its partition, from 0",
    "payload": "its bytes as they came; a market batch: its raw records",
    "positions": "`strategy instrument size` of the scope's books that are not flat, sizes as decimals",
    "post_only": "refuse instead of taking liquidity",
    "price": "limit price, mantissa at the instrument's price precision",
    "price_increment": "smallest step of a price, mantissa at the price precision",
    "price_precision": "decimals of a price mantissa, 0 to 18",
    "quote_currency": "the currency that prices are in",
    "realized_pnl": "profit realized so far, exact, in quote currency",
    "reason": "why, as `CODE: values` or in the venue's words",
    "resolved_at": "when it ended, ns since the Unix epoch, UTC; null: it has not",
    "revision": "grows with every change",
    "resolution": "what the actor knows of the order",
    "reduce_only": "only make a position smaller",
    "scope": "`firm`, `account:…`, `strategy:…` or `instrument:…`",
    "sequence": "number of the event in the order's story, from 1; 0 is no part of a story",
    "severity": "info, warning or critical",
    "side": "FIX Side",
    "signed_size": "size held, mantissa at the instrument's size precision; negative is short",
    "size": "size of the order, mantissa at the instrument's size precision",
    "size_increment": "smallest step of a size, mantissa at the size precision",
    "size_precision": "decimals of a size mantissa, 0 to 18",
    "snapshot": "whether these are all balances, or only those that changed",
    "stage": "how far the kill switch has come",
    "state": "the trading state",
    "status": "status of the order after the event",
    "step": "number of the replay's step, from 1",
    "strategy_id": "whose book it belongs to",
    "subject": "what it is about: a service, an account, a scope, an instrument, a topic",
    "summary": "one sentence of what is so",
    "symbol": "the venue's own symbol",
    "time_in_force": "FIX TimeInForce",
    "topic": "topic that the message was read from",
    "trade_id": "the venue's number of the trade (FIX ExecID)",
    "trigger_price": "stop price, mantissa at the instrument's price precision",
    "ts_snapshot": "when the proving snapshot was asked for, ns since the Unix epoch, UTC; 0 without one",
    "turn": "number of the turn within the step, from 0",
    "unrealized_pnl": "profit of the open position at the latest mark, exact, in `currency`",
    "venue": "the venue",
    "venue_order_id": "the venue's name of the order (FIX OrderID)",
    "why": "the actor's words for the audit",
}
"""Field name -> meaning."""

NARROWED: Final[Mapping[tuple[str, str], str]] = {
    ("AlertChanged", "state"): "OPEN, ACKNOWLEDGED or RESOLVED",
    ("CancelAllOrders", "instrument_id"): "only orders of this instrument; null means of all",
    ("CancelAllOrders", "strategy_id"): "only orders of this strategy; null means of all",
    ("CancelAllOrders", "reason"): "why, for the orders' story",
    ("OrderClaimed", "filled_size"): "what had filled before, mantissa at the instrument's size precision",
    ("EquityChanged", "realized_pnl"): "profit realized so far, exact, in `currency`",
    ("KillSwitchChanged", "reason"): "what it waits for",
    ("FlatnessReported", "reason"): "what it waits for",
    ("ProveFlat", "instrument_id"): "only this instrument; null means all",
    ("ProveFlat", "strategy_id"): "only this strategy; null means all",
    ("FeedStatusChanged", "instrument_id"): "`SYMBOL.VENUE`; null means every instrument of the venue",
    ("FeedStatusChanged", "state"): "CONNECTING, SYNCING, LIVE, GAP, STALE, ENDED or DISCONNECTED",
    ("OrderFilled", "price"): "price of this fill, mantissa at the instrument's price precision",
    ("OrderFilled", "size"): "size of this fill alone, mantissa at the instrument's size precision",
}
"""(type, field) -> meaning where the general one does not say enough."""


def meaning_of(type_name: str, field: str) -> str:
    """The meaning of a field of a message or of a part of one.

    Raises:
        KeyError: it is not described yet; add it to ``MEANINGS``.
    """
    return NARROWED.get((type_name, field)) or MEANINGS[field]
