"""The same random days on real PostgreSQL: what a restart loads is what memory had."""

import random
from typing import Any

from order_path_kit import ACCOUNT
from risk_desk import INSTRUMENTS, LIMITS, STRATEGIES, Desk, scope_sums

from tradewind.execution.engine import ExecutionEngine, batch_of
from tradewind.execution.order_rates import MINUTE_NS
from tradewind.model.enums import OrderSide
from tradewind.store.database import Database
from tradewind.store.leases import LeaseRepository
from tradewind.store.order_store import OrderStore
from tradewind.store.risk_counters import load_risk
from tradewind.wire.messages import EventIds

KINDS = ("submit", "submit", "submit", "fill", "part", "cancel", "unknown", "gone", "minute")


def random_step(chance: random.Random) -> tuple[Any, ...]:
    kind = chance.choice(KINDS)
    if kind == "submit":
        size = 100 * chance.randrange(1, 120)
        terms = (chance.choice(list(OrderSide)), size, chance.random() < 0.3, chance.random() < 0.3)
        return (kind, chance.choice(STRATEGIES), chance.choice(INSTRUMENTS), *terms)
    return (kind,) if kind == "minute" else (kind, chance.randrange(50))


async def loaded(database: Database, store: OrderStore, now_ns: int) -> ExecutionEngine:
    """An engine as a session begins."""
    engine = ExecutionEngine(ACCOUNT, INSTRUMENTS, LIMITS, EventIds())
    engine.risk.load(await load_risk(database, ACCOUNT, now_ns - MINUTE_NS))
    engine.ledger.load(await store.positions(), await store.books())
    engine.load_orders(await store.unfinished_orders())
    return engine


async def test_what_a_restart_loads_is_what_memory_had(database: Database) -> None:
    store, chance, desk = OrderStore(database, ACCOUNT), random.Random(5), Desk()
    lease = await LeaseRepository(database, duration_s=600).acquire("execution:test", "here")
    assert lease is not None

    async def commit() -> None:
        batch = batch_of(desk.last_plan)
        await store.commit(batch, lease=lease.name, epoch=lease.epoch, now_ns=desk.now_ns)

    await commit()
    seen = 0
    for number in range(1, 401):
        desk.step(*random_step(chance))
        await commit()
        desk.last_plan = desk.engine.plan_risk(desk.now_ns)
        await commit()
        if number % 20 == 0:
            again = await loaded(database, store, desk.now_ns)
            desk.quote(again)
            again.risk.observe(desk.now_ns)
            assert again.risk.reservations() == desk.engine.risk.reservations()
            assert scope_sums(again) == scope_sums(desk.engine)
            assert usage(again, desk.now_ns) == usage(desk.engine, desk.now_ns)
            seen += len(again.risk.reservations())
    assert seen > 20
    await store.aclose()


def usage(engine: ExecutionEngine, now_ns: int) -> dict[tuple[str, str], object]:
    """What is used of every limit, rates and losses too."""
    return {(one.scope, one.limit): one.used for one in engine.risk.usage(now_ns) if one.used}
