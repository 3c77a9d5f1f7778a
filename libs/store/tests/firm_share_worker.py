"""One account in a process of its own: asks for shares of the firm's limit and gives them back, as chance has it.

``python firm_share_worker.py DSN ACCOUNT SEED``
"""

import asyncio
import random
import sys
from decimal import Decimal

from tradewind.model.identifiers import AccountId
from tradewind.store.database import Database
from tradewind.store.firm_allocations import FirmAllocations
from tradewind.store.leases import LeaseRepository

ROUNDS = 60


async def work(dsn: str, account_id: AccountId, seed: int) -> None:
    chance = random.Random(seed)
    async with Database(dsn, max_connections=1) as database:
        lease = await LeaseRepository(database, duration_s=600).acquire(f"execution:{account_id}", "worker")
        if lease is None:
            raise SystemExit(f"the lease of {account_id} is held")
        firm = FirmAllocations(database, "firm")
        for _ in range(ROUNDS):
            ask = Decimal(chance.randrange(0, 600))
            granted = await firm.set_share(account_id, lease, share=ask, wanted=ask)
            state = await firm.state()
            if granted > ask or state.free < 0 or state.share_of(account_id) != granted:
                raise SystemExit(f"asked {ask}, granted {granted}, {state}")


asyncio.run(work(sys.argv[1], AccountId(sys.argv[2]), int(sys.argv[3])))
