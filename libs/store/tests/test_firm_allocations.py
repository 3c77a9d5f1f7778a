"""Shares of the firm's limit: however many accounts ask, give back, crash and come back at once, the shares never
add up to more than the limit."""

import asyncio
import random
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tradewind.model.identifiers import AccountId
from tradewind.store.database import Database
from tradewind.store.firm_allocations import FirmAllocations
from tradewind.store.leases import Lease, LeaseRepository
from tradewind.store.order_store import LeaseLost

LIMIT = Decimal(1_000)
NOTHING = Decimal(0)
WORKER = Path(__file__).with_name("firm_share_worker.py")
A, B = AccountId("V-a"), AccountId("V-b")


async def lease_of(database: Database, account_id: AccountId) -> Lease:
    lease = await LeaseRepository(database, duration_s=600).acquire(f"execution:{account_id}", "test")
    assert lease is not None
    return lease


async def test_an_account_gets_what_is_free_and_no_more(either_database: Database) -> None:
    firm = FirmAllocations(either_database, "firm")
    a, b = await lease_of(either_database, A), await lease_of(either_database, B)
    await firm.set_limit(LIMIT)
    assert await firm.set_share(A, a, share=Decimal(700), wanted=Decimal(700)) == 700
    assert await firm.set_share(B, b, share=Decimal(500), wanted=Decimal(500)) == 300
    state = await firm.state()
    assert (state.free, state.share_of(B), state.unmet_of_others(A)) == (0, 300, 200)
    assert await firm.set_share(A, a, share=Decimal(100), wanted=Decimal(100)) == 100
    assert await firm.set_share(B, b, share=Decimal("500.5"), wanted=Decimal("500.5")) == Decimal("500.5")


async def test_a_lower_limit_takes_nothing_away_and_gives_nothing_more(either_database: Database) -> None:
    firm = FirmAllocations(either_database, "firm")
    a, b = await lease_of(either_database, A), await lease_of(either_database, B)
    await firm.set_limit(LIMIT)
    await firm.set_share(A, a, share=Decimal(600), wanted=Decimal(0))
    await firm.set_share(B, b, share=Decimal(400), wanted=Decimal(0))
    await firm.set_limit(Decimal(500))
    assert (await firm.state()).free == -500
    assert await firm.set_share(A, a, share=Decimal(900), wanted=Decimal(900)) == 600
    assert await firm.set_share(A, a, share=Decimal(50), wanted=Decimal(900)) == 50
    assert await firm.set_share(A, a, share=Decimal(900), wanted=Decimal(900)) == 100


async def test_without_a_limit_or_a_lease_nothing_is_given(either_database: Database) -> None:
    firm = FirmAllocations(either_database, "firm")
    a = await lease_of(either_database, A)
    state = await firm.state()
    assert (state.max_notional, state.shares) == (0, [])
    await firm.set_limit(LIMIT)
    stale = Lease(a.name, a.holder, a.epoch - 1, a.good_until)
    with pytest.raises(LeaseLost):
        await firm.set_share(A, stale, share=Decimal(1), wanted=Decimal(1))
    assert (await firm.state()).shares == []


async def test_at_no_time_do_the_shares_exceed_the_limit(database: Database) -> None:
    """Eight accounts at once, each as careless as its memory: what it believes to hold is what it was told last."""
    accounts = [AccountId(f"V-{number}") for number in range(8)]
    await FirmAllocations(database, "firm").set_limit(LIMIT)
    believed: dict[AccountId, Decimal] = dict.fromkeys(accounts, Decimal(0))
    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        watcher = tasks.create_task(_watch(database, believed, done))
        workers = [tasks.create_task(_work(database, one, believed, seed)) for seed, one in enumerate(accounts)]
        await asyncio.gather(*workers)
        done.set()
    assert watcher.result() > 10
    state = await FirmAllocations(database, "firm").state()
    assert {one.account_id: one.share for one in state.shares} == believed


async def test_nor_do_they_when_every_account_is_a_process(database: Database) -> None:
    firm = FirmAllocations(database, "firm")
    await firm.set_limit(LIMIT)
    commands = [[sys.executable, str(WORKER), database.dsn, f"V-{number}", str(number)] for number in range(4)]
    workers = [await asyncio.create_subprocess_exec(*command) for command in commands]
    ends = asyncio.gather(*(worker.wait() for worker in workers))
    most = NOTHING
    while not ends.done():
        state = await firm.state()
        assert state.free >= 0
        most = max(most, LIMIT - state.free)
        await asyncio.sleep(0)
    assert await ends == [0, 0, 0, 0]
    assert most > LIMIT / 2, "they must have come near the limit to prove anything"


async def _work(database: Database, account_id: AccountId, believed: dict[AccountId, Decimal], seed: int) -> None:
    chance = random.Random(seed)
    async with Database(database.dsn, max_connections=1) as own:
        firm = FirmAllocations(own, "firm")
        lease = await lease_of(own, account_id)
        for _ in range(40):
            ask = Decimal(chance.randrange(0, 400))
            if ask < believed[account_id]:
                believed[account_id] = ask  # given up in memory before it is told
            granted = await firm.set_share(account_id, lease, share=ask, wanted=ask)
            assert granted <= ask
            believed[account_id] = granted
            assert sum(believed.values()) <= LIMIT
            if chance.random() < 0.1:  # a crash: the next start knows what the store knows
                believed[account_id] = (await firm.state()).share_of(account_id)


async def _watch(database: Database, believed: dict[AccountId, Decimal], done: asyncio.Event) -> int:
    looks = 0
    while not done.is_set():
        state = await FirmAllocations(database, "firm").state()
        assert state.free >= 0
        assert sum(believed.values()) <= LIMIT
        looks += 1
        await asyncio.sleep(0)
    return looks
