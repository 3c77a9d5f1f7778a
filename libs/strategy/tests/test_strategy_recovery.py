"""Any crash point in any interleaving: checkpoint plus replay is the state without the crash; nothing is doubled."""

import dataclasses
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from checkpoint_events import initialized
from checkpointed_strategy import Diarist, Diary
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.model.identifiers import AccountId, TradeId
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.store.checkpoints import MAX_EVENTS, StoredCheckpoint, StrategyPicture
from tradewind.strategy import Strategy
from tradewind.strategy.commanding import order_of
from tradewind.strategy.engine import StrategyEngine, StrategyFailed
from tradewind.strategy.recovery import Findings, apply, examine, sent_before
from tradewind.strategy.saved_state import (
    MAX_STATE_BYTES,
    Checkpoint,
    CheckpointUnreadable,
    StateTooLarge,
    decode_checkpoint,
    encode_checkpoint,
    schema_of,
    state_of,
)
from tradewind.strategy.testing import ACCOUNT, BTC, STRATEGY, T0, accepted, canceled, drain, engine, filled, quote
from tradewind.wire.commands import SubmitOrder
from tradewind.wire.events import OrderEvent, OrderFilled

STEPS = ("quote", "take", "fill", "cancel", "deliver", "deliver", "save")


@dataclasses.dataclass
class Model:
    """Bus, order path and store as they should be, in plain lists: what survives the strategy's death."""

    commands: list[SubmitOrder] = dataclasses.field(default_factory=list)
    taken: int = 0
    journal: list[OrderEvent] = dataclasses.field(default_factory=list)
    delivered: int = 0
    orders: dict[str, Order] = dataclasses.field(default_factory=dict)
    held: int = 0
    loaded_at: int = 0
    saved: StoredCheckpoint | None = None

    def take(self) -> None:
        """The order path takes the next command: INITIALIZED and ACCEPTED."""
        if self.taken < len(self.commands):
            command = self.commands[self.taken]
            self.taken += 1
            assert command.client_order_id not in self.orders, "an id was used twice"
            order = self.orders[command.client_order_id] = order_of(command)
            self.tell(order, initialized(order))
            self.tell(order, accepted(order))

    def tell(self, order: Order, event: OrderEvent) -> None:
        order.status, order.event_count = event.status, event.sequence
        if isinstance(event, OrderFilled):
            order.filled_size = event.filled_size
            self.held += event.size
        self.journal.append(event)

    def open(self) -> list[Order]:
        return [order for order in self.orders.values() if not order.status.is_closed]

    def save(self, made: StrategyEngine) -> None:
        captured = made.capture()
        place = self.loaded_at
        if captured.last_event is not None:
            stories = [(event.client_order_id, event.sequence) for event in self.journal]
            place = max(place, stories.index(captured.last_event) + 1)
        self.saved = StoredCheckpoint(state=captured.stored, run=made.desk.run, journal_id=place, saved_ns=T0)

    def picture(self) -> StrategyPicture:
        copies = [msgspec.structs.replace(order) for order in self.orders.values()]
        position = Position(account_id=ACCOUNT, strategy_id=STRATEGY, instrument_id=BTC, signed_size=self.held)
        return StrategyPicture(
            checkpoint=self.saved,
            positions=[position],
            orders=[order for order in copies if not order.status.is_closed],
            closed=[order for order in copies if order.status.is_closed][-2:],  # the store gives the newest ones only
            trade_ids=[event.trade_id for event in self.journal if isinstance(event, OrderFilled)],
            events=list(self.journal[self.saved.journal_id if self.saved is not None else len(self.journal) :]),
            journal_id=len(self.journal),
        )

    def publish(self, made: StrategyEngine) -> None:
        self.commands += [command for command in drain(made) if isinstance(command, SubmitOrder)]

    def step(self, made: StrategyEngine, kind: str, choice: int) -> None:
        if kind == "quote":
            for _ in made.walk(quote(6_000_000, 6_000_100, at=T0 + len(self.commands))):
                self.publish(made)
        elif kind == "take":
            self.take()
        elif kind in ("fill", "cancel") and (resting := self.open()):
            order = resting[choice % len(resting)]
            self.tell(order, filled(order, 1 + choice % order.remaining_size) if kind == "fill" else canceled(order))
        elif kind == "deliver":
            self.deliver(made, 1)
        elif kind == "save":
            self.save(made)

    def deliver(self, made: StrategyEngine, count: int) -> None:
        for event in self.journal[self.delivered : self.delivered + count]:
            self.delivered += 1
            made.order_event(event)
            self.publish(made)


def begun() -> tuple[StrategyEngine, Model]:
    made, model = engine(Diarist()), Model()
    made.start()
    model.save(made)
    return made, model


def restarted(model: Model, run: int = 2, **changes: Any) -> tuple[StrategyEngine, Findings]:
    made = engine(Diarist(), run=run)
    model.loaded_at = len(model.journal)
    picture = msgspec.structs.replace(model.picture(), **changes)
    sent = sent_before(model.commands, STRATEGY, run)
    findings = examine(made.strategy, ACCOUNT, picture, sent, made.market.instruments)
    apply(findings, made)
    return made, findings


def stories(model: Model) -> list[tuple[str, int]]:
    return [(event.client_order_id, event.sequence) for event in model.journal]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5_000)), max_size=60), st.integers(1, 3))
def test_wherever_it_dies_nothing_is_lost_told_twice_or_sent_again(steps: list[tuple[str, int]], crashes: int) -> None:
    made, model = begun()
    for number in range(crashes):
        for kind, choice in steps[number::crashes]:
            model.step(made, kind, choice)
        saved_quotes = decoded(model).quotes
        made, findings = restarted(model, run=number + 2)
        assert findings.differences == []
        assert drain(made) == []
        state: Diary = made.strategy.state
        assert [tuple(one) for one in state.told] == stories(model)
        assert state.filled == model.held == made.context.position(BTC).signed_size
        assert state.quotes == saved_quotes
        waiting = {command.client_order_id for command in model.commands[model.taken :]}
        assert set(made.tracker.open) == {order.client_order_id for order in model.open()} | waiting
        model.delivered = len(model.journal)
        model.save(made)
    # What the earlier runs published and nobody had taken is taken now: told as any other order.
    while model.taken < len(model.commands):
        model.take()
        model.deliver(made, 2)
    assert [tuple(one) for one in made.strategy.state.told] == stories(model)


def decoded(model: Model) -> Diary:
    assert model.saved is not None
    return msgspec.msgpack.decode(decode_checkpoint(model.saved.state).state, type=Diary)


def test_events_that_the_bus_brings_again_after_the_start_are_not_told_again() -> None:
    made, model = begun()
    for kind in ("quote", "take", "deliver", "save", "fill", "cancel"):
        model.step(made, kind, 999)
    made, _ = restarted(model)
    told = list(made.strategy.state.told)
    for event in model.journal:
        made.order_event(event)
    assert made.strategy.state.told == told
    assert made.context.position(BTC).signed_size == model.held
    assert made.last_event is None


def test_what_the_strategy_asks_for_while_it_is_brought_back_is_kept_back() -> None:
    made, model = begun()
    for kind in ("quote", "take", "cancel"):
        model.step(made, kind, 0)
    made, _ = restarted(model)
    assert made.context.open_orders() == []
    assert drain(made) == []
    assert made.context.suppressed_orders == 0
    for _ in made.walk(quote(6_000_000, 6_000_100)):
        pass
    (command,) = drain(made)
    assert command.client_order_id == f"{STRATEGY}-2-1"


def test_an_intent_that_never_left_its_process_is_forgotten() -> None:
    made, model = begun()
    model.step(made, "quote", 0)
    model.save(made)
    model.commands.clear()
    made, findings = restarted(model)
    assert findings.differences == []
    assert made.context.open_orders() == []


def test_each_difference_is_told_with_both_values() -> None:
    made, model = begun()
    for kind in ("quote", "take", "deliver", "deliver", "save"):
        model.step(made, kind, 0)
    position = Position(account_id=ACCOUNT, strategy_id=STRATEGY, instrument_id=BTC, signed_size=-2_500)
    stranger = msgspec.structs.replace(model.open()[0], client_order_id="test-one-1-99")
    made, findings = restarted(model, positions=[position], orders=[stranger])
    assert findings.differences == [
        "BTCUSDT.BINANCE: the state makes 0.00000, the store has -0.02500",
        "order test-one-1-99 (ACCEPTED) is open, and the state does not know it",
        "order test-one-1-1 (ACCEPTED) is open in the state, and the store has no such open order",
    ]
    assert findings.unexplained == ["test-one-1-99"]
    assert made.context.position(BTC).signed_size == -2_500
    assert [order.client_order_id for order in made.context.open_orders()] == ["test-one-1-99"]


def test_without_a_checkpoint_only_what_exists_is_a_difference() -> None:
    made, model = begun()
    model.saved = None
    assert restarted(model)[1].differences == []
    model.step(made, "quote", 0)
    model.step(made, "take", 0)
    model.step(made, "fill", 99)
    assert restarted(model)[1].differences == [
        "there is no checkpoint",
        "the store has 0.00100 BTCUSDT.BINANCE",
        "order test-one-1-1 (PARTIALLY_FILLED) is open",
    ]


@given(st.data())
def test_a_damaged_checkpoint_is_refused_as_a_whole(data: st.DataObject) -> None:
    _, model = begun()
    assert model.saved is not None
    stored = bytearray(model.saved.state)
    place = data.draw(st.integers(0, len(stored) - 1))
    stored[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.booleans())
    with pytest.raises(CheckpointUnreadable):
        decode_checkpoint(bytes(stored[:place] if cut else stored))


def test_a_damaged_checkpoint_leaves_a_new_state_and_the_stores_word() -> None:
    made, model = begun()
    for kind in ("quote", "take", "fill", "save"):
        model.step(made, kind, 10)
    assert model.saved is not None
    model.saved = msgspec.structs.replace(model.saved, state=model.saved.state[:-1])
    made, findings = restarted(model)
    assert "is damaged" in findings.differences[0]
    assert findings.unexplained == ["test-one-1-1"]
    assert made.strategy.state == Diary()
    assert made.context.position(BTC).signed_size == model.held


def checkpoint_of(**changes: Any) -> Checkpoint:
    _, model = begun()
    assert model.saved is not None
    return msgspec.structs.replace(decode_checkpoint(model.saved.state), **changes)


def test_an_older_version_is_converted_by_the_strategy_or_refused() -> None:
    class Older(Strategy):
        State = Diary
        state_version = 3

    class Converts(Older):
        def on_old_state(self, version: int, fields: dict[str, Any]) -> Diary:
            return Diary(filled=fields["filled"] + version)

    class Stumbles(Older):
        def on_old_state(self, version: int, fields: dict[str, Any]) -> Diary:
            return Diary(filled=fields["no such field"])

    old = checkpoint_of(state_version=2)
    assert state_of(old, Converts()) == Diary(filled=2)
    with pytest.raises(
        CheckpointUnreadable, match="has state version 2, the strategy has 3, and on_old_state does not"
    ):
        state_of(old, Older())
    with pytest.raises(CheckpointUnreadable, match="on_old_state failed: KeyError"):
        state_of(old, Stumbles())
    with pytest.raises(CheckpointUnreadable, match="an older program cannot read it; start the newer one"):
        state_of(checkpoint_of(state_version=4), Converts())


def test_other_fields_under_the_same_version_are_refused() -> None:
    class Grown(msgspec.Struct):
        told: list[tuple[str, int]] = []
        added: int = 0

    class Changed(Strategy):
        State = Grown

    assert schema_of(Grown) != schema_of(Diary)
    with pytest.raises(CheckpointUnreadable, match="with other fields; raise state_version"):
        state_of(checkpoint_of(), Changed())


def test_a_checkpoint_of_another_account_or_too_far_behind_is_refused() -> None:
    made, model = begun()
    for kind in ("quote", "take", "save"):
        model.step(made, kind, 0)
    many = [model.journal[0]] * (MAX_EVENTS + 1)
    assert "order events have come since" in restarted(model, events=many)[1].differences[0]
    other = encode_checkpoint(checkpoint_of(account_id=AccountId("BINANCE-other")))
    assert model.saved is not None
    model.saved = msgspec.structs.replace(model.saved, state=other)
    assert "is of account BINANCE-other" in restarted(model)[1].differences[0]


def test_a_state_that_is_too_large_or_no_state_is_not_saved() -> None:
    made, _ = begun()
    made.strategy.state = Diary(told=[("x" * 1_000, 1)] * (MAX_STATE_BYTES // 1_000))
    with pytest.raises(StateTooLarge, match="keep less in State"):
        made.capture()
    assert not made.is_mute
    made.strategy.state = Decimal(1)
    with pytest.raises(StrategyFailed, match="on_save gave Decimal, not the State of Diarist"):
        made.capture()
    assert made.is_mute


def test_only_commands_of_the_strategys_own_earlier_runs_were_sent_before() -> None:
    def named(name: str) -> SubmitOrder:
        return msgspec.structs.replace(command, client_order_id=name)

    made, model = begun()
    model.step(made, "quote", 0)
    (command,) = model.commands
    names = (
        "test-one-1-1",
        "test-one-2-1",
        "test-one-3-1",
        "kill-1-ab-1",
        "test-one-x-1",
        "test-one-1",
        "test-one-1-1",
    )
    found = sent_before([named(name) for name in names], STRATEGY, 3)
    assert [one.client_order_id for one in found] == ["test-one-1-1", "test-one-2-1"]


def test_a_known_fill_still_ends_an_order_that_was_seen_late() -> None:
    made, model = begun()
    model.step(made, "quote", 0)
    model.take()
    (order,) = model.open()
    fill = filled(order, order.size, trade_id="t-known")
    model.tell(order, fill)
    late = engine(Diarist(), run=2)
    late.load([], [], [TradeId("t-known")])
    late.start()
    for event in model.journal:
        late.order_event(event)
    assert late.context.open_orders() == []
    assert late.context.position(BTC).signed_size == 0
