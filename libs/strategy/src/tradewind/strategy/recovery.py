"""What a start finds: the checkpoint, what came after it, and where both differ from the store. No I/O.

The checkpoint's orders and positions, what the run before published since, and the events after it must give what the
store has. Where they do, the strategy goes on as if nothing had happened. Where they do not, its policy decides.
"""

import dataclasses
from collections.abc import Iterable, Mapping

import msgspec

from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.model.instruments import Instrument
from tradewind.model.orders import Order
from tradewind.store.checkpoints import MAX_EVENTS, StrategyPicture
from tradewind.strategy.commanding import order_of
from tradewind.strategy.engine import StrategyEngine
from tradewind.strategy.order_tracking import OrderTracker
from tradewind.strategy.saved_state import Checkpoint, CheckpointUnreadable, decode_checkpoint, state_of
from tradewind.strategy.strategy import Strategy
from tradewind.wire.commands import SubmitOrder


@dataclasses.dataclass(frozen=True, slots=True)
class Findings:
    """``checkpoint`` and ``state`` are None when there is nothing to go on from; ``sent`` are commands on their way.

    ``differences`` are sentences with the values of both sides; without one the state and the store agree.
    ``unexplained`` are resting orders that the state does not know. ``problem`` says why a checkpoint is not used.
    """

    picture: StrategyPicture
    checkpoint: Checkpoint | None
    state: msgspec.Struct | None
    sent: list[Order]
    differences: list[str]
    unexplained: list[ClientOrderId]
    problem: str


def sent_before(commands: Iterable[SubmitOrder], strategy_id: StrategyId, run: int) -> list[SubmitOrder]:
    """Those of ``commands`` that an earlier run of the strategy published, each once."""
    found = {
        command.client_order_id: command
        for command in commands
        if command.strategy_id == strategy_id and 0 < _number_of(command.client_order_id, strategy_id)[0] < run
    }
    return list(found.values())


def examine(
    strategy: Strategy,
    account_id: AccountId,
    picture: StrategyPicture,
    sent: Iterable[SubmitOrder],
    instruments: Mapping[InstrumentId, Instrument],
    *,
    uses_checkpoint: bool = True,
) -> Findings:
    """Compare what the strategy saved with what the store knows. ``sent`` is what the bus still has of its orders.

    Without ``uses_checkpoint`` it is as if there were none.
    """
    on_their_way: list[Order] = []
    problem = ""
    try:
        checkpoint, state = _readable(strategy, account_id, picture) if uses_checkpoint else (None, None)
    except CheckpointUnreadable as error:
        checkpoint, state, problem = None, None, str(error)
    if checkpoint is not None:
        on_their_way = _on_their_way(checkpoint, picture, sent)
        expected = _expected(checkpoint, picture, on_their_way, instruments)
        differences, unexplained = _compare(expected, picture, instruments)
    else:
        unexplained = [order.client_order_id for order in picture.orders]
        differences = _left_behind(picture, instruments)
        if differences:
            differences = [problem or "there is no checkpoint", *differences]
    return Findings(picture, checkpoint, state, on_their_way, differences, unexplained, problem)


def apply(findings: Findings, engine: StrategyEngine) -> None:
    """Bring the strategy back, or start it anew, and take the store's word for orders and positions.

    Raises:
        StrategyFailed: a callback raised.
    """
    picture = findings.picture
    if findings.checkpoint is not None and findings.state is not None:
        known = {order.client_order_id for order in (*picture.orders, *picture.closed, *findings.sent)}
        known.update(event.client_order_id for event in picture.events)
        orders = [order for order in findings.checkpoint.orders if order.event_count or order.client_order_id in known]
        checkpoint = msgspec.structs.replace(findings.checkpoint, orders=orders)
        engine.resume(checkpoint, findings.state, findings.sent, picture.events)
        engine.tracker.settle(picture.positions, picture.orders, picture.closed, picture.trade_ids)
    else:
        settle(findings, engine)
        engine.start()


def settle(findings: Findings, engine: StrategyEngine) -> None:
    """Take the store's word, and what is on its way, without calling the strategy."""
    picture = findings.picture
    for order in findings.sent:
        engine.tracker.add(order)
    engine.tracker.settle(picture.positions, picture.orders, picture.closed, picture.trade_ids)


def _readable(
    strategy: Strategy, account_id: AccountId, picture: StrategyPicture
) -> tuple[Checkpoint | None, msgspec.Struct | None]:
    if picture.checkpoint is None or strategy.State is None:
        return None, None
    checkpoint = decode_checkpoint(picture.checkpoint.state)
    if checkpoint.account_id != account_id:
        raise CheckpointUnreadable(
            f"the checkpoint is of account {checkpoint.account_id}, this is {account_id}; give the strategy another id"
        )
    if len(picture.events) > MAX_EVENTS:
        raise CheckpointUnreadable(f"more than {MAX_EVENTS} order events have come since the checkpoint")
    return checkpoint, state_of(checkpoint, strategy)


def _on_their_way(checkpoint: Checkpoint, picture: StrategyPicture, sent: Iterable[SubmitOrder]) -> list[Order]:
    """Published, and not in the store yet: made after the checkpoint, or in it without a single event."""
    known = {order.client_order_id for order in (*picture.orders, *picture.closed)}
    known.update(event.client_order_id for event in picture.events)
    unheard = {order.client_order_id for order in checkpoint.orders if not order.event_count}
    last = (checkpoint.run, checkpoint.intents)
    return [
        order_of(command)
        for command in sent
        if command.client_order_id not in known
        and (command.client_order_id in unheard or _number_of(command.client_order_id, checkpoint.strategy_id) > last)
    ]


def _expected(
    checkpoint: Checkpoint,
    picture: StrategyPicture,
    sent: Iterable[Order],
    instruments: Mapping[InstrumentId, Instrument],
) -> OrderTracker:
    """The strategy's orders and positions as its checkpoint and the events after it make them."""
    tracker = OrderTracker(checkpoint.strategy_id, checkpoint.account_id)
    # Copies: what is compared here must not move what the strategy is given afterwards.
    copied = msgspec.msgpack.decode(msgspec.msgpack.encode(checkpoint), type=Checkpoint)
    tracker.restore(copied.positions, copied.orders)
    for order in sent:
        tracker.add(msgspec.structs.replace(order))
    for event in picture.events:
        tracker.apply(event, instruments.get(event.instrument_id))
    return tracker


def _compare(
    expected: OrderTracker, picture: StrategyPicture, instruments: Mapping[InstrumentId, Instrument]
) -> tuple[list[str], list[ClientOrderId]]:
    held = {position.instrument_id: position.signed_size for position in picture.positions}
    saved = {instrument_id: position.signed_size for instrument_id, position in expected.positions.items()}
    differences = [
        f"{name}: the state makes {_size(saved.get(name, 0), instruments.get(name))}, "
        f"the store has {_size(held.get(name, 0), instruments.get(name))}"
        for name in sorted({*held, *saved})
        if held.get(name, 0) != saved.get(name, 0)
    ]
    resting = {order.client_order_id: order for order in picture.orders}
    unexplained = [order_id for order_id in resting if order_id not in expected.open]
    differences += [f"{_order(resting[order_id])} is open, and the state does not know it" for order_id in unexplained]
    differences += [
        f"{_order(order)} is open in the state, and the store has no such open order"
        for order_id, order in expected.open.items()
        if order.event_count and order_id not in resting
    ]
    return differences, unexplained


def _left_behind(picture: StrategyPicture, instruments: Mapping[InstrumentId, Instrument]) -> list[str]:
    held = [
        f"the store has {_size(position.signed_size, instruments.get(position.instrument_id))} {position.instrument_id}"
        for position in picture.positions
        if position.signed_size
    ]
    return held + [f"{_order(order)} is open" for order in picture.orders]


def _order(order: Order) -> str:
    return f"order {order.client_order_id} ({order.status})"


def _size(signed_size: int, instrument: Instrument | None) -> str:
    return f"{signed_size} units" if instrument is None else f"{instrument.decimal_size(signed_size):f}"


def _number_of(client_order_id: ClientOrderId, strategy_id: StrategyId) -> tuple[int, int]:
    """Run and number of an intent; zeros: the id is not of this strategy's making."""
    run, _, number = client_order_id.removeprefix(f"{strategy_id}-").partition("-")
    return (int(run), int(number)) if run.isdecimal() and number.isdecimal() else (0, 0)
