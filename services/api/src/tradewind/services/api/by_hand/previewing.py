"""What an order would cost and which limits it would meet, before it is sent: an estimate from what the page knows.

The execution service decides when the order comes, on newer figures; what is said here binds nobody.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from typing_extensions import TypedDict

from tradewind.model.enums import OrderSide, TradingState
from tradewind.model.identifiers import AccountId
from tradewind.model.instruments import Instrument
from tradewind.services.api.by_hand.order_entry import MANUAL
from tradewind.services.api.view_model.limit_views import limit_text
from tradewind.services.api.view_model.market_view import MarketView
from tradewind.services.api.view_model.order_views import money_text
from tradewind.services.api.view_model.state import ViewState
from tradewind.wire.commands import SubmitOrder
from tradewind.wire.events import LimitUsed
from tradewind.wire.market_records import RecordSide

_POSITION: Final = "max_position_notional"
_FIRM: Final = "max_firm_notional"
_LOSSES: Final = ("max_daily_loss", "max_drawdown")
_STRICTEST: Final = (TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED)


class LimitAfterView(TypedDict):
    """One limit with what is used of it, and what would be with the order at work."""

    scope: str
    name: str
    used: str
    would_use: str
    limit: str


class PreviewView(TypedDict):
    """An estimate. ``problems`` are sentences; with none it is ``accepted``. ``fee_estimate`` is as the last fill of
    this market paid, null without one; ``balance_after`` is what would be free of what the order spends."""

    accepted: bool
    problems: list[str]
    notional: str | None
    fee_estimate: str | None
    fee_currency: str | None
    price_used: str | None
    limits: list[LimitAfterView]
    trading_state: str
    balance_after: dict[str, str]


def preview(state: ViewState, market: MarketView, command: SubmitOrder) -> PreviewView:
    """What is known of an order whose form is right."""
    instrument = market.instrument
    price = _price(market, command)
    notional = None if price is None else instrument.notional(price, command.size)
    trading_state = _trading_state(state, command)
    rate = _fee_rate(state, instrument)
    limits = list(_limits(state, command, notional))
    free = _free_after(state, instrument, command, notional)
    problems = [
        *_of_trading_state(trading_state, command),
        *([] if price is not None else ["there is no price on the other side of the book now; send a LIMIT order"]),
        *(f"{one.scope}: {one.name} would be {after:f} of {one.limit:f}" for one, after, over in limits if over),
        *(f"{-amount:f} {currency} too little is free" for currency, amount in free.items() if amount < 0),
    ]
    return PreviewView(
        accepted=not problems,
        problems=problems,
        notional=None if notional is None else money_text(notional),
        fee_estimate=None if rate is None or notional is None else money_text(round(notional * rate, 8)),
        fee_currency=None if rate is None else instrument.quote_currency,
        price_used=None if price is None else instrument.format_price(price),
        limits=[_limit_view(one, after) for one, after, _ in limits],
        trading_state=trading_state.value,
        balance_after={currency: f"{amount:f}" for currency, amount in free.items()},
    )


def _price(market: MarketView, command: SubmitOrder) -> int | None:
    if command.price is not None:
        return command.price
    best = market.best(RecordSide.SELL if command.side is OrderSide.BUY else RecordSide.BUY)
    return best[0] if best else None


def _scopes(command: SubmitOrder) -> dict[str, str]:
    return {
        "firm": "firm",
        "account": f"account:{command.account_id}",
        "instrument": f"instrument:{command.instrument_id}",
        "strategy": f"strategy:{MANUAL}",
    }


def _trading_state(state: ViewState, command: SubmitOrder) -> TradingState:
    told = (state.trading_states.get(scope) for scope in _scopes(command).values())
    return max((one.state for one in told if one), key=_STRICTEST.index, default=TradingState.ACTIVE)


def _of_trading_state(trading_state: TradingState, command: SubmitOrder) -> Iterator[str]:
    if trading_state is TradingState.HALTED:
        yield "trading is HALTED here; a risk officer gives it back"
    elif trading_state is TradingState.REDUCING and not command.reduce_only:
        yield "trading is REDUCING here: only orders that make a position smaller pass"


def _limits(
    state: ViewState, command: SubmitOrder, notional: Decimal | None
) -> Iterator[tuple[LimitUsed, Decimal, bool]]:
    """Each limit of the order's scopes, its use with the order, and whether that is too much."""
    scopes = set(_scopes(command).values())
    told = state.limits.get(AccountId(command.account_id))
    for one in told.uses if told else ():
        if one.scope not in scopes:
            continue
        if one.name in _LOSSES:
            yield one, one.used, one.used >= one.limit
        elif one.name in (_POSITION, _FIRM):
            # The order path counts an order at its worst: as if nothing else were filled.
            after = one.used + (Decimal(0) if notional is None or command.reduce_only else notional)
            yield one, after, after > one.limit
        else:
            yield one, one.used + 1, one.used + 1 > one.limit


def _limit_view(one: LimitUsed, after: Decimal) -> LimitAfterView:
    text = limit_text(one.name)
    return LimitAfterView(
        scope=one.scope, name=one.name, used=text(one.used), would_use=text(after), limit=text(one.limit)
    )


def _fee_rate(state: ViewState, instrument: Instrument) -> Decimal | None:
    fills = (fill for fill in state.ledger.fills.newest(200) if fill.instrument_id == instrument.instrument_id)
    for fill in fills:
        notional = instrument.notional(fill.price, fill.size)
        price = Decimal(fill.price).scaleb(-instrument.price_precision)
        in_quote = {instrument.quote_currency: fill.fee, instrument.base_currency: fill.fee * price}
        if notional and fill.fee_currency in in_quote:
            return in_quote[fill.fee_currency] / notional
    return None


def _free_after(
    state: ViewState, instrument: Instrument, command: SubmitOrder, notional: Decimal | None
) -> dict[str, Decimal]:
    if command.side is OrderSide.BUY:
        currency, spent = instrument.quote_currency, notional
    else:
        currency, spent = instrument.base_currency, instrument.decimal_size(command.size)
    balance = state.balances.get((command.account_id, currency))
    return {} if balance is None or spent is None else {currency: balance.free - spent}
