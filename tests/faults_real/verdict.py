"""The end of a run: everybody well again, nothing in doubt, and the oracle's word on the two records."""

import asyncio
import dataclasses
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

import asyncpg
from faults.oracle import Limits, StoreRecord, VenueRecord, Violation, check
from faults.oracle_readers import read_store, read_venue

from faults_real.fleet import Fleet
from faults_real.load import ACCOUNT

PROMISED_S: Final = 30.0
"""All services ready and no UNKNOWN so soon after the last fault."""
_PATIENCE_S: Final = 240.0
_LOOK_EVERY_S: Final = 0.25
_AGREE_PATIENCE_S: Final = 120.0
_AGREE_EVERY_S: Final = 2.0
_TIMEOUT_S: Final = 10.0
_UNKNOWN: Final = "SELECT count(*) FROM orders WHERE account_id = $1 AND outcome = 'UNKNOWN'"
_LEDGER_ENDINGS: Final = ("", "-wal")


@dataclasses.dataclass(slots=True)
class Recovery:
    """How long it took after the last fault; None where patience ended first."""

    ready_s: float | None = None
    certain_s: float | None = None
    agreed_s: float | None = None
    not_ready: dict[str, str] = dataclasses.field(default_factory=dict)

    def violations(self) -> list[Violation]:
        """What came later than promised."""
        found = []
        for what, seconds in (("all services ready", self.ready_s), ("no UNKNOWN", self.certain_s)):
            if seconds is None or seconds > PROMISED_S:
                took = f"not in {_PATIENCE_S:.0f} s" if seconds is None else f"after {seconds:.1f} s"
                said = "; ".join(f"{name}: {why}" for name, why in self.not_ready.items())
                found.append(Violation("well again within 30 s", f"{what} {took}{f' ({said})' if said else ''}"))
        return found


async def recover(fleet: Fleet, dsn: str) -> Recovery:
    """Wait until all are ready and no order is UNKNOWN, each for the first time since the faults stopped."""
    recovery, began = Recovery(), time.monotonic()
    while time.monotonic() - began < _PATIENCE_S:
        recovery.not_ready = await fleet.not_ready()
        if recovery.ready_s is None and not recovery.not_ready:
            recovery.ready_s = time.monotonic() - began
        if recovery.certain_s is None and await _unknown_orders(dsn) == 0:
            recovery.certain_s = time.monotonic() - began
        if recovery.ready_s is not None and recovery.certain_s is not None:
            return recovery
        await asyncio.sleep(_LOOK_EVERY_S)
    return recovery


async def _unknown_orders(dsn: str) -> int:
    connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S)
    try:
        found: int = await connection.fetchval(_UNKNOWN, ACCOUNT)
        return found
    finally:
        await connection.close(timeout=_TIMEOUT_S)


async def agree(ledger: Path, dsn: str, external: Collection[str], limits: Limits, since: float) -> float | None:
    """Wait until the oracle has nothing to say; seconds from ``since``, or None when patience ended first.

    Nobody trades any more: what remains is the platform's own reconciliation.
    """
    began = time.monotonic()
    while time.monotonic() - began < _AGREE_PATIENCE_S:
        try:
            if not check(_copied(ledger, external), await read_store(dsn, ACCOUNT, limits)):
                return time.monotonic() - since
        except sqlite3.Error:
            pass  # copied in the middle of a write
        await asyncio.sleep(_AGREE_EVERY_S)
    return None


def _copied(ledger: Path, external: Collection[str]) -> VenueRecord:
    """The record of a venue that still runs, which no other process may open."""
    with tempfile.TemporaryDirectory(prefix="tradewind-ledger-") as folder:
        for ending in _LEDGER_ENDINGS:
            source = ledger.with_name(ledger.name + ending)
            if source.exists():
                shutil.copy(source, Path(folder) / source.name)
        return read_venue(Path(folder) / ledger.name, external=external)


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What the oracle found, and in how much."""

    venue: VenueRecord
    store: StoreRecord
    violations: list[Violation]


async def judge(ledger: Path, dsn: str, external: Collection[str], limits: Limits, recovery: Recovery) -> Verdict:
    """The verdict, once the venue's process has ended."""
    venue, store = read_venue(ledger, external=external), await read_store(dsn, ACCOUNT, limits)
    return Verdict(venue, store, [*recovery.violations(), *check(venue, store)])
