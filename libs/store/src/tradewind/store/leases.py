"""Leases: who may write, for how long, and with which epoch. An epoch never comes twice."""

import time
from dataclasses import dataclass
from typing import Final

from tradewind.store.database import Database

_ACQUIRE: Final = """
INSERT INTO leases AS l (name, holder, epoch, expires_at)
VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (name) DO UPDATE
SET holder = $2, epoch = l.epoch + 1, expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE l.expires_at + make_interval(secs => $4) < clock_timestamp()
RETURNING epoch
"""
_RENEW: Final = """
UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => $4)
WHERE name = $1 AND holder = $2 AND epoch = $3 RETURNING epoch
"""
_RELEASE: Final = """
UPDATE leases SET expires_at = '-infinity' WHERE name = $1 AND holder = $2 AND epoch = $3
"""
_ALL: Final = """
SELECT name, holder, epoch,
       extract(epoch FROM greatest(expires_at, now() - interval '1 day') - clock_timestamp())::float8 AS expires_s
FROM leases ORDER BY name LIMIT 100
"""
_READ: Final = "SELECT holder, epoch, expires_at::text FROM leases WHERE name = $1"


@dataclass(slots=True)
class Lease:
    """A lease as its holder sees it.

    ``good_until`` is on this process's monotonic clock, counted from before the request left, so that it never ends
    later than the database's own expiry.
    """

    name: str
    holder: str
    epoch: int
    good_until: float

    def has_margin(self, margin_s: float) -> bool:
        """Whether at least ``margin_s`` of the lease is left: only then may a byte go to the venue."""
        return time.monotonic() + margin_s < self.good_until


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease as the database has it. ``expires_s``: until it expires by the database's clock, below 0 if it has."""

    name: str
    holder: str
    epoch: int
    expires_s: float


class LeaseRepository:
    """Takes, renews and gives back leases."""

    def __init__(self, database: Database, *, duration_s: float = 5.0, grace_s: float = 1.0) -> None:
        self._database = database
        self.duration_s = duration_s
        self._grace_s = grace_s

    async def acquire(self, name: str, holder: str) -> Lease | None:
        """The lease with a new epoch, or None while someone else's has not expired and its grace passed."""
        before = time.monotonic()
        async with self._database.connection() as connection, connection.transaction():
            # Waits for transactions that still count on the old epoch; see commit_order_batch.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name)
            epoch = await connection.fetchval(_ACQUIRE, name, holder, self.duration_s, self._grace_s)
        return Lease(name, holder, epoch, before + self.duration_s) if epoch is not None else None

    async def renew(self, lease: Lease) -> bool:
        """Prolong the lease; False when another epoch has begun."""
        before = time.monotonic()
        async with self._database.connection() as connection:
            epoch = await connection.fetchval(_RENEW, lease.name, lease.holder, lease.epoch, self.duration_s)
        if epoch is None:
            return False
        lease.good_until = before + self.duration_s
        return True

    async def release(self, lease: Lease) -> None:
        """Let the next holder in at once."""
        lease.good_until = 0.0
        async with self._database.connection() as connection:
            await connection.execute(_RELEASE, lease.name, lease.holder, lease.epoch)

    async def held(self) -> list[HeldLease]:
        """All leases that anybody ever held, by name."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_ALL)
        return [HeldLease(**dict(row)) for row in rows]

    async def describe(self, name: str) -> str:
        """Who holds it, in words for a log line."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_READ, name)
        return "nobody" if row is None else f"{row['holder']} (epoch {row['epoch']}, until {row['expires_at']})"
