"""REST: what a hand may do. Every request becomes one command on the bus; its events tell what came of it."""

import time
from typing import Final

import msgspec
from fastapi import APIRouter, HTTPException, Request

from tradewind.model.enums import TradingState
from tradewind.model.identifiers import ClientOrderId, InstrumentId
from tradewind.model.orders import Order
from tradewind.services.api.by_hand.order_entry import NewOrder, NewTradingState, submit_order
from tradewind.services.api.by_hand.previewing import PreviewView, preview
from tradewind.services.api.by_hand.replacing import OrderChange, Replacement, changed, revised_id
from tradewind.services.api.routes.access import Access, Accessed
from tradewind.services.api.routes.authorization import NOT_ALLOWED, CancelRight, RiskRight, TradeRight, audit
from tradewind.services.api.routes.kill import refuse_while_engaged
from tradewind.services.api.routes.market import market_of
from tradewind.services.api.routes.orders import STORE_AWAY, OrderIdPath, find_order
from tradewind.services.api.routes.publishing import NOT_TAKEN, publish
from tradewind.services.api.view_model.order_ledger import is_unfinished
from tradewind.services.api.view_model.views import Problem, Taken
from tradewind.wire.commands import CancelOrder, SetTradingState
from tradewind.wire.topics import ORDERS_COMMANDS, RISK_COMMANDS

router: Final = APIRouter(tags=["commands"], responses=NOT_ALLOWED)


@router.post("/orders", status_code=202, responses={404: {"model": Problem}, 409: {"model": Problem}, **NOT_TAKEN})
async def submit(access: Accessed, who: TradeRight, request: Request, order: NewOrder) -> Taken:
    """Send an order by hand, under the strategy id ``manual``."""
    instrument = market_of(access, InstrumentId(order.instrument_id)).instrument
    order_id = ClientOrderId(order.client_order_id) if order.client_order_id else access.manual_ids()
    if order_id in access.state.ledger.orders:
        raise HTTPException(409, f"order {order_id} was taken before; look at it under /api/v1/orders/{order_id}")
    command = submit_order(order, instrument, access.account_id, order_id, access.event_ids())
    await audit(
        access, who, action="order.submit", subject=order_id,
        after=" ".join(filter(None, (order.side, order.size, order.instrument_id, order.order_type, order.price))),
    )  # fmt: skip
    await publish(access, request, ORDERS_COMMANDS, access.account_id, command)
    return Taken(event_id=command.event_id, correlation_id=command.correlation_id, client_order_id=order_id)


@router.post("/orders/preview", responses={404: {"model": Problem}})
async def preview_order(access: Accessed, who: TradeRight, order: NewOrder) -> PreviewView:
    """What an order would cost and which limits it would meet, now. Nothing is sent, and nobody is bound by it."""
    market = market_of(access, InstrumentId(order.instrument_id))
    command = submit_order(order, market.instrument, access.account_id, ClientOrderId("manual-preview"), "preview")
    return preview(access.state, market, command)


@router.delete(
    "/orders/{client_order_id}",
    status_code=202,
    responses={404: {"model": Problem}, 409: {"model": Problem}, **NOT_TAKEN, **STORE_AWAY},
)
async def cancel(access: Accessed, who: CancelRight, request: Request, client_order_id: OrderIdPath) -> Taken:
    """Ask for the cancel of an order, whichever strategy it belongs to."""
    order = await find_order(access, client_order_id)
    if not is_unfinished(order):
        raise HTTPException(409, f"order {client_order_id} is {order.status.value} already")
    command = _cancel_of(access, order)
    await audit(access, who, action="order.cancel", subject=order.client_order_id, before=order.status, urgent=True)
    await publish(access, request, ORDERS_COMMANDS, order.account_id, command)
    return Taken(
        event_id=command.event_id, correlation_id=command.correlation_id, client_order_id=order.client_order_id
    )


@router.patch(
    "/orders/{client_order_id}",
    status_code=202,
    responses={404: {"model": Problem}, 409: {"model": Problem}, **NOT_TAKEN, **STORE_AWAY},
)
async def replace(
    access: Accessed, who: TradeRight, request: Request, client_order_id: OrderIdPath, change: OrderChange
) -> Taken:
    """Change price or size of an order by hand that rests: it is cancelled, and when the venue has confirmed that,
    another order with a name of its own is sent for what is left. Until then no order may be at work."""
    order = await find_order(access, client_order_id)
    market = market_of(access, order.instrument_id)
    wanted = changed(order, change, market.instrument)
    second = revised_id(order.client_order_id)
    if second in access.state.ledger.orders or await access.queries.orders_by_id([second]):
        raise HTTPException(409, f"order {client_order_id} was replaced by {second} already; change that one")
    command = submit_order(wanted, market.instrument, order.account_id, second, access.event_ids())
    command = msgspec.structs.replace(command, correlation_id=order.correlation_id or command.correlation_id)
    access.replacer.check_free(order.client_order_id)
    until_s = time.monotonic() + access.settings.replace_timeout_s
    replacement = Replacement(order.client_order_id, command, market.instrument, who, until_s, order.reason)
    access.replacer.begin(replacement)
    try:
        await audit(
            access, who, action="order.replace", subject=order.client_order_id,
            before=f"{market.instrument.format_size(order.size)} at {market.instrument.format_price(order.price or 0)}",
            after=f"{second}: {wanted.size} at {wanted.price}", why=change.why or "",
        )  # fmt: skip
        await publish(access, request, ORDERS_COMMANDS, order.account_id, _cancel_of(access, order))
    except HTTPException:
        access.replacer.forget(order.client_order_id)
        raise
    return Taken(event_id=command.event_id, correlation_id=command.correlation_id, client_order_id=second)


def _cancel_of(access: Access, order: Order) -> CancelOrder:
    event_id, now_ns = access.event_ids(), time.time_ns()
    return CancelOrder(
        event_id=event_id,
        correlation_id=order.correlation_id or event_id,
        causation_id="",
        ts_event=now_ns,
        ts_init=now_ns,
        strategy_id=order.strategy_id,
        account_id=order.account_id,
        client_order_id=order.client_order_id,
    )


@router.post("/trading-state", status_code=202, responses={409: {"model": Problem}, **NOT_TAKEN})
async def set_trading_state(access: Accessed, who: RiskRight, request: Request, wanted: NewTradingState) -> Taken:
    """Halt a scope, which cancels what rests in it, or give it back. A halt proves nothing: see kill switches."""
    halts = wanted.trading_state is TradingState.HALTED
    if not halts:
        await refuse_while_engaged(access, wanted.scope)
    event_id, now_ns = access.event_ids(), time.time_ns()
    command = SetTradingState(
        event_id=event_id,
        correlation_id=event_id,
        causation_id="",
        ts_event=now_ns,
        ts_init=now_ns,
        scope=wanted.scope,
        state=wanted.trading_state,
        actor=who.name,
        why=wanted.why,
    )
    await audit(
        access, who, action="trading-state.set", subject=wanted.scope, before=_state_of(access, wanted.scope),
        after=wanted.state, why=wanted.why, urgent=halts,
    )  # fmt: skip
    await publish(access, request, RISK_COMMANDS, wanted.scope, command)
    return Taken(event_id=event_id, correlation_id=event_id, scope=wanted.scope)


def _state_of(access: Access, scope: str) -> str:
    known = access.state.trading_states.get(scope)
    return known.state if known is not None else TradingState.ACTIVE
