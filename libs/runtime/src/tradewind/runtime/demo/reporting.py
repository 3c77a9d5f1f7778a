"""The report of a run. Every figure is counted by the code that did the work, or asked of the database or the venue."""

import dataclasses
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.model.identifiers import AccountId
from tradewind.runtime.demo.outcome import outcome_of
from tradewind.runtime.demo.venue_progress import VenueStatus
from tradewind.runtime.metrics import LatencyRecorder
from tradewind.runtime.platform_view import PlatformView
from tradewind.runtime.settings import PlatformSettings
from tradewind.runtime.supervising import SharedResources
from tradewind.runtime.venue_connecting import execution_client_of
from tradewind.store.database import Database
from tradewind.store.order_store import OrderStore

_NS: Final = 1_000_000_000
_BYTES_PER_MB: Final = 1_048_576
_LATENCIES: Final = ("receive_to_publish", "tick_to_command", "command_to_venue", "order_commit")


@dataclasses.dataclass(frozen=True, slots=True)
class RunTimes:
    """When the first frame left the venue, or the market began, and when the last record was stored; ns UTC."""

    began_ns: int
    ended_ns: int

    @property
    def wall_s(self) -> float:
        """Seconds between the two."""
        return max(self.ended_ns - self.began_ns, 1) / _NS


async def make_report(
    shared: SharedResources, view: PlatformView, venue: VenueStatus, times: RunTimes, bare_commit: LatencyRecorder
) -> dict[str, Any]:
    """All figures of a run that has come to rest. ``outcome`` is the part without times; see ``outcome.py``.

    Raises:
        DatabaseUnavailable, VenueError: a store or the venue could not be asked.
    """
    total, frames, feed = view.total, venue.frames, "market-data"
    unread = {name: int(total(f"input_{name}", service=feed)) for name in ("malformed", "unknown")}
    latencies = {name: (await view.latency(name)).as_us() for name in _LATENCIES}
    return {
        "input": {"frames": frames, "malformed": venue.malformed, "feed": unread},
        "book": {name: int(total(f"book_{name}")) for name in ("compared", "equal", "gaps")},
        "trades": int(total("market_trades")),
        "quotes": int(total("market_quotes")),
        "records": int(total("market_records")),
        "fills": int(total("fills")),
        **await _from_database(shared.database),
        "outcome": await outcome_of(shared.database),
        "ledger": await _ledger(shared.platform, shared.database),
        "latency_us": latencies | {"bare_commit": bare_commit.summary().as_us()},
        "peak_rss_mb": round(view.peak_rss_bytes() / _BYTES_PER_MB, 1),
        "wall_s": round(times.wall_s, 3),
        "frames_per_s": round(frames / times.wall_s, 1),
    }


async def _from_database(database: Database) -> dict[str, Any]:
    async with database.connection() as connection:
        statuses = await connection.fetch("SELECT status, count(*) AS n FROM orders GROUP BY status ORDER BY status")
        strategies = await connection.fetch(_BY_STRATEGY)
        counts = dict((await connection.fetch(_COUNTS))[0])
    return {
        "orders": {row["status"]: row["n"] for row in statuses},
        "strategies": {row["strategy_id"]: {"orders": row["orders"], "fills": row["fills"]} for row in strategies},
        "db": counts,
    }


async def _ledger(platform: PlatformSettings, database: Database) -> dict[str, Any]:
    """The books against the account as computed from fills, and that against what the venue itself says."""
    account_id = AccountId(f"{platform.venue}-{platform.account}")
    lines = await OrderStore(database, account_id).ledger()
    client = execution_client_of(platform)
    try:
        # Not connected: two questions need no session, and over FIX the order path has it.
        await client.instruments()
        stated = {balance.currency: balance.total for balance in (await client.balances()).balances}
    finally:
        await client.close()
    account = {line.currency: line.account_amount for line in lines}
    currencies = sorted(set(account) | set(stated))
    return {
        "books_equal_account": bool(lines) and all(line.books_amount == line.account_amount for line in lines),
        "account_equals_venue": bool(lines)
        and all(account.get(c, Decimal(0)) == stated.get(c, Decimal(0)) for c in currencies),
        "account": {c: f"{account.get(c, Decimal(0)):f}" for c in currencies},
        "venue": {c: f"{stated.get(c, Decimal(0)):f}" for c in currencies},
    }


def to_json(report: dict[str, Any]) -> bytes:
    """The report as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


_BY_STRATEGY: Final = """
SELECT o.strategy_id, count(*) AS orders, COALESCE(sum(f.n), 0)::bigint AS fills
FROM orders o
LEFT JOIN (SELECT account_id, client_order_id, count(*) AS n FROM fills GROUP BY 1, 2) f
    USING (account_id, client_order_id)
GROUP BY o.strategy_id ORDER BY o.strategy_id
"""
_COUNTS: Final = """
SELECT (SELECT count(*) FROM trades) AS trades, (SELECT count(*) FROM quotes) AS quotes,
       (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM fills) AS fills
"""
