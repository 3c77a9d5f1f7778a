"""Batches are planned ahead, and written and told in the order in which they were planned, or not at all."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tradewind.execution.plans import Plan
from tradewind.runtime.metrics import Metrics, ProcessMetrics
from tradewind.services.execution.order_path import OrderPath
from tradewind.store.order_store import OrderBatch, StoreConflict
from tradewind.venue.reports import OrderStatusReport


class Store:
    """Writes when it is let; ``conflicts`` are the numbers of commits that fail."""

    def __init__(self, *conflicts: int) -> None:
        self.begun: list[OrderBatch] = []
        self.may_end = asyncio.Event()
        self._conflicts = conflicts

    async def commit(self, batch: OrderBatch, **_: Any) -> int:
        number = len(self.begun)
        self.begun.append(batch)
        await self.may_end.wait()
        if number in self._conflicts:
            raise StoreConflict("it is there already")
        return number


class Outbox:
    def __init__(self) -> None:
        self.told: list[Any] = []

    async def publish(self, outgoing: list[Any], _: int | None) -> None:
        await asyncio.sleep(0)
        self.told += outgoing


def path_over(store: Store, outbox: Outbox, plans: list[str]) -> OrderPath:
    def plan_reports(reports: list[Any], _: int) -> Plan:
        plans.append("+".join(reports))
        return Plan(outgoing=list(reports))

    engine = SimpleNamespace(orders={}, unfamiliar=lambda _: [], plan_reports=plan_reports)
    context = SimpleNamespace(log=None, metrics=Metrics("execution", ProcessMetrics()))
    lease = SimpleNamespace(name="lease", epoch=1)
    client = SimpleNamespace(visibility_delay_s=1.0)
    return OrderPath(context, engine, store, lease, client, outbox, None, 1.0)  # type: ignore[arg-type]


def reports(text: str) -> list[OrderStatusReport]:
    return list(text)  # type: ignore[arg-type]


async def begin(path: OrderPath, text: str) -> "asyncio.Task[None]":
    task = asyncio.ensure_future(path.take_reports(reports(text)))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_the_next_is_planned_while_one_is_written_and_what_comes_then_gathers() -> None:
    store, outbox, plans = Store(), Outbox(), list[str]()
    path = path_over(store, outbox, plans)
    tasks = [await begin(path, text) for text in ("a", "b", "cd", "e")]
    assert (plans, len(store.begun)) == (["a", "b"], 1)
    store.may_end.set()
    await asyncio.gather(*tasks)
    assert plans == ["a", "b", "c+d+e"]
    assert outbox.told == list("abcde")


async def test_what_was_planned_after_a_failure_is_not_written() -> None:
    store, outbox, plans = Store(0), Outbox(), list[str]()
    path = path_over(store, outbox, plans)
    tasks = [await begin(path, text) for text in ("a", "b", "c", "d")]
    store.may_end.set()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [StoreConflict] * 4
    assert len(store.begun) == 1
    assert outbox.told == []


async def test_what_was_planned_before_a_failure_is_told() -> None:
    store, outbox, plans = Store(1), Outbox(), list[str]()
    path = path_over(store, outbox, plans)
    tasks = [await begin(path, text) for text in ("a", "b", "c")]
    store.may_end.set()
    first, *others = await asyncio.gather(*tasks, return_exceptions=True)
    assert first is None
    assert [type(end) for end in others] == [StoreConflict] * 2
    assert outbox.told == ["a"]
    with pytest.raises(StoreConflict):
        await path.take_reports(reports("f"))
