"""Snapshot and deltas of the stream's parts: whoever merges all deltas knows what a new client is told."""

import asyncio
import functools
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest
from api_platform import ACCOUNT, BTCUSDT, Publisher, api_settings, instrument_named, record, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.bus.memory import MemoryBus
from tradewind.model.accounts import Balance
from tradewind.model.enums import OrderSide, TradingState
from tradewind.model.identifiers import InstrumentId, StrategyId
from tradewind.runtime.health import HealthBoard
from tradewind.runtime.settings import PlatformSettings
from tradewind.services.api.stream.composing import Composer
from tradewind.services.api.stream.parts import ALWAYS, EVERYTHING, Look, Part, Parts
from tradewind.services.api.view_model.neighbours import Neighbours
from tradewind.services.api.view_model.state import ViewState
from tradewind.wire.events import AccountBalancesChanged, OrderEvent, PositionChanged, TradingStateChanged
from tradewind.wire.market_records import RecordKind, RecordSide

ETHUSDT = InstrumentId("ETHUSDT.BINANCE")
KEYED = {
    "instruments": "instrument_id",
    "prices": "instrument_id",
    "orders": "client_order_id",
    "bars": "ts",
}
APPENDED = {"trades", "fills", "marks", "chart", "equity_points"}
PARTS = tuple(sorted({*ALWAYS, "bars", "limits"} - {"health", "counters"}))


def composed() -> tuple[ViewState, Composer]:
    state = ViewState(api_settings())
    for name in (BTCUSDT, ETHUSDT):
        state.define(instrument_named(name))
        state.apply_records(np.concatenate(snapshot([(6_000_000, 10**8)], [(6_000_100, 10**8)], name)))
    return state, Composer(state, HealthBoard(), Neighbours(PlatformSettings()), destination="nowhere", version="0")


def merged(known: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """What a page knows after a delta; as services/ui/web/src/live/model.ts does it."""
    after = dict(known)
    for name, rows in told.items():
        if name in KEYED:
            by_key = {row[KEYED[name]]: row for row in [*known.get(name, []), *rows]}
            after[name] = list(by_key.values())
        elif name in APPENDED:
            after[name] = [*known.get(name, []), *rows]
        else:
            after[name] = rows
    return after


def canonical(known: dict[str, Any]) -> dict[str, Any]:
    """With keyed rows in one order, and without parts that hold nothing."""
    return {
        name: sorted(rows, key=lambda row: str(row[KEYED[name]])) if name in KEYED else rows
        for name, rows in known.items()
        if rows
    }


@functools.cache
def order_events() -> list[OrderEvent]:
    async def made() -> list[OrderEvent]:
        publisher = Publisher(MemoryBus())
        found: list[OrderEvent] = []
        for number in range(12):
            found += await publisher.order(f"maker-1-{number}", OrderSide.BUY, 6_000_000, 100_000, "maker")
            found.append(await publisher.filled(f"maker-1-{number}", OrderSide.BUY, 6_000_000, 100_000, "maker"))
        return found

    return asyncio.run(made())


def act(state: ViewState, kind: int, step: int) -> None:
    """Something that happens on the platform."""
    name = (BTCUSDT, ETHUSDT)[step % 2]
    identity = Publisher(MemoryBus()).identity()
    of = functools.partial(record, instrument_id=name)
    match kind:
        case 0:
            state.apply_records(of(RecordKind.TRADE, RecordSide.BUY, 6_000_000 + step, 1_000))
        case 1:
            state.apply_records(of(RecordKind.LEVEL, RecordSide.BUY, 5_999_000 - step, 10**7))
        case 2:
            state.apply_records(of(RecordKind.TOP_OF_BOOK, RecordSide.SELL, 6_000_200 + step, 5))
        case 3:
            state.apply(order_events()[step % len(order_events())])
        case 4:
            balance = Balance(currency="USDT", free=Decimal(step + 1), locked=Decimal(0))
            state.apply(AccountBalancesChanged(account_id=ACCOUNT, balances=(balance,), **identity))
        case 5:
            state.apply(
                PositionChanged(
                    account_id=ACCOUNT,
                    strategy_id=StrategyId("maker"),
                    instrument_id=name,
                    signed_size=step,
                    average_price=Decimal(60_000),
                    realized_pnl=Decimal(step),
                    **identity,
                )
            )
        case 6:
            state.apply(
                TradingStateChanged(scope="firm", state=TradingState.HALTED, actor="a", why=str(step), **identity)
            )
        case _:
            state.sample_points(step)


@given(
    looks=st.lists(st.sampled_from(PARTS), min_size=1, unique=True),
    instrument=st.sampled_from([BTCUSDT, ETHUSDT]),
    acts=st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=60),
)
@settings(max_examples=120, deadline=None)
def test_deltas_rebuild_what_a_new_client_is_told(
    looks: Sequence[str], instrument: InstrumentId, acts: Sequence[tuple[int, bool]]
) -> None:
    state, composer = composed()
    look = Look(parts=tuple(looks), instrument_id=instrument, depth=5)
    composer.refresh(marks=True, counters=False)
    seen, data = composer.frame(look) or (state.revisions.now, b"{}")
    known = msgspec.json.decode(data)
    for step, (kind, is_told) in enumerate([*acts, (7, True)]):
        act(state, kind, step)
        if is_told:
            composer.refresh(marks=True, counters=False)
            if (frame := composer.frame(look, seen)) is not None:
                seen, data = frame
                known = merged(known, msgspec.json.decode(data))
    composer.refresh(marks=False, counters=False)
    fresh = composer.frame(look)
    assert canonical(known) == canonical({} if fresh is None else msgspec.json.decode(fresh[1]))


def test_a_client_that_comes_between_two_others_is_told_what_changed_since() -> None:
    state, composer = composed()
    look = Look(parts=("balances", "orders"), instrument_id=BTCUSDT)
    composer.refresh(marks=False, counters=False)
    seen, _ = composer.frame(look) or (state.revisions.now, b"")
    act(state, 4, 1)
    first = composer.frame(look, seen)
    act(state, 4, 2)
    second = composer.frame(Look(parts=("balances",), instrument_id=BTCUSDT), seen)
    assert first is not None
    assert second is not None
    assert msgspec.json.decode(first[1])["balances"][0]["total"] == "2"
    assert msgspec.json.decode(second[1])["balances"][0]["total"] == "3"


def test_a_part_that_nobody_looks_at_is_not_made() -> None:
    made: list[int] = []
    parts = Parts()
    parts.add(Part("costly", lambda _look: 1, lambda _look, since: made.append(since)))
    state, composer = composed()
    composer.parts.add(parts["costly"])
    composer.frame(Look(parts=("balances",)))
    assert made == []
    composer.frame(Look(parts=("costly",)))
    assert made == [EVERYTHING]
    with pytest.raises(ValueError, match="two parts 'costly'"):
        composer.parts.add(parts["costly"])
    assert state.revisions.now > 0
