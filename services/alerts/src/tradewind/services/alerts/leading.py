"""Which copy of the service works: the holder of the lease ``alerts``. The others stand by.

One task, owned by the service. That nothing is told twice does not hang on it: changes are saved on the revision that
was read, and messages are claimed. It only keeps two copies from doing the same work.
"""

import asyncio
import os
import secrets
import socket
import time
from typing import Final

from tradewind.runtime.service import ServiceContext
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.leases import Lease, LeaseRepository

LEASE: Final = "alerts"
DURATION_S: Final = 9.0
_RENEW_EVERY: Final = 3
_LOOK_S: Final = 1.0


class Leader:
    """``leads`` is set while this copy works; also while the database is away: then nobody can take over."""

    def __init__(self, context: ServiceContext, duration_s: float = DURATION_S) -> None:
        self._context = context
        self._leases = LeaseRepository(context.database, duration_s=duration_s)
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._lease: Lease | None = None
        self.leads = asyncio.Event()

    async def run(self) -> None:
        """Take the lease and keep it, again and again, until cancelled; then give it back."""
        try:
            while True:
                try:
                    await self._step()
                except DatabaseUnavailable:
                    await asyncio.sleep(_LOOK_S)
        finally:
            if self._lease is not None:
                await self._release(self._lease)

    async def _step(self) -> None:
        if self._lease is None:
            self._lease = await self._leases.acquire(LEASE, self._holder)
            if self._lease is None:
                holder = await self._leases.describe(LEASE)
                self._context.health.set_ready(f"standing by: the lease is held by {holder}")
                await asyncio.sleep(_LOOK_S)
                return
            self._context.log.info("evaluates from now on", epoch=self._lease.epoch)
            self.leads.set()
        elif not await self._leases.renew(self._lease):
            self._lease = None
            self.leads.clear()
            self._context.log.warning("another copy evaluates from now on")
            return
        await asyncio.sleep(self._leases.duration_s / _RENEW_EVERY)

    async def _release(self, lease: Lease) -> None:
        try:
            async with asyncio.timeout(_LOOK_S):
                await self._leases.release(lease)
        except (DatabaseUnavailable, TimeoutError) as error:
            left_s = max(0.0, lease.good_until - time.monotonic())
            self._context.log.info("the lease ends by itself", seconds=round(left_s), reason=type(error).__name__)
