"""What the order path's SQL does, over dicts: one handler for each statement, found by what its text contains.

A statement that no handler knows is an error: teach it here, and add it to ``test_simulated_store.py``, which runs the
same operations on PostgreSQL. Source of the meaning: the migrations of ``tradewind.store``.
"""

import functools
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from tradewind.model.order_status import CLOSED
from tradewind.store.order_store import LEASE_LOST_SQLSTATE

Row = dict[str, Any]
Later = list[Callable[[], object]]

_ORDER_COLUMNS: Final = (
    "account_id", "client_order_id", "command_id", "strategy_id", "instrument_id", "side", "order_type",
    "time_in_force", "size", "price", "trigger_price", "post_only", "reduce_only", "expire_time", "correlation_id",
    "status", "previous_status", "outcome", "unknown_since", "venue_order_id", "filled_size", "reason", "event_count",
    "ts_init", "ts_last",
)  # fmt: skip
_CHANGING: Final = (
    "status", "previous_status", "outcome", "unknown_since", "venue_order_id", "filled_size", "reason", "event_count",
    "ts_last",
)  # fmt: skip
_JOURNAL_COLUMNS: Final = ("client_order_id", "sequence", "event_id", "topic", "type", "version", "payload")
_NUMERIC: Final = frozenset({"fee", "base_amount", "quote_amount", "average_price", "realized_pnl", "amount"})
_COUNTER_AMOUNTS: Final = ("day_start_pnl", "peak_pnl", "last_pnl", "fees")
_CLOSED: Final = frozenset(status.value for status in CLOSED)
_NEVER_NS: Final = -(1 << 62)
NS: Final = 1_000_000_000


class Tables:
    """The rows. ``now_ns`` is the server's clock."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self.now_ns = now_ns
        self.leases: dict[str, Row] = {}
        self.orders: dict[tuple[str, str], Row] = {}
        self.journal: list[Row] = []
        self.stories: set[tuple[str, str, int]] = set()
        self.published: dict[str, int] = {}
        self.fills: dict[tuple[str, str, str], Row] = {}
        self.positions: dict[tuple[str, str, str], Row] = {}
        self.books: dict[tuple[str, str, str], Row] = {}
        self.opening: dict[tuple[str, str], Row] = {}
        self.trading_states: dict[str, Row] = {}
        self.reconciliations: list[Row] = []
        self.risk_counters: dict[tuple[str, str], Row] = {}
        self.risk_order_prices: dict[tuple[str, str], Row] = {}
        self.next_journal_id = 1


def _put(table: dict[Any, Row], key: Any, row: Row, later: Later | None) -> None:
    """Write a row: now, or when its transaction commits; before that nobody else sees it."""
    if later is None:
        table[key] = row
    else:
        later.append(functools.partial(table.__setitem__, key, row))


# -- leases ----------------------------------------------------------------------------------------------------------


def acquire(
    tables: Tables, later: Later | None, name: str, holder: str, duration_s: float, grace_s: float
) -> list[Row]:
    now, held = tables.now_ns(), tables.leases.get(name)
    if held is not None and held["expires_at"] + int(grace_s * NS) >= now:
        return []
    epoch = held["epoch"] + 1 if held else 1
    row = {"name": name, "holder": holder, "epoch": epoch, "expires_at": now + int(duration_s * NS)}
    _put(tables.leases, name, row, later)
    return [{"epoch": epoch}]


def renew(tables: Tables, later: Later | None, name: str, holder: str, epoch: int, duration_s: float) -> list[Row]:
    held = tables.leases.get(name)
    if held is None or (held["holder"], held["epoch"]) != (holder, epoch):
        return []
    _put(tables.leases, name, {**held, "expires_at": tables.now_ns() + int(duration_s * NS)}, later)
    return [{"epoch": epoch}]


def release(tables: Tables, later: Later | None, name: str, holder: str, epoch: int) -> list[Row]:
    held = tables.leases.get(name)
    if held is not None and (held["holder"], held["epoch"]) == (holder, epoch):
        _put(tables.leases, name, {**held, "expires_at": _NEVER_NS}, later)
    return []


def read_lease(tables: Tables, _: Later | None, name: str) -> list[Row]:
    held = tables.leases.get(name)
    return [{**held, "expires_at": str(held["expires_at"])}] if held else []


# -- the order path ----------------------------------------------------------------------------------------------------


def commit_order_batch(
    tables: Tables,
    later: Later | None,
    lease: str,
    epoch: int,
    account: str,
    ts_init: int,
    new_orders: list[tuple[Any, ...]] | None,
    orders: list[tuple[Any, ...]] | None,
    journal: list[tuple[Any, ...]] | None,
    fills: str | None,
    positions: str | None,
    books: str | None,
    risk: str | None,
    recovery: str | None = None,
) -> list[Row]:
    held = tables.leases.get(lease)
    if held is None or held["epoch"] != epoch:
        raise _postgres_error(LEASE_LOST_SQLSTATE, f"lease {lease} with epoch {epoch} is not held any more")
    fresh = [_order_row(values) for values in new_orders or ()]
    filled = _json_rows(fills)
    told = [dict(zip(_JOURNAL_COLUMNS, values, strict=True)) for values in journal or ()]
    _refuse_known(tables, account, fresh, filled, told)
    for row in fresh:
        tables.orders[row["account_id"], row["client_order_id"]] = row
    for row in (_order_row(values) for values in orders or ()):
        known = tables.orders.get((row["account_id"], row["client_order_id"]))
        if known is not None:
            known.update({name: row[name] for name in _CHANGING})
    for row in filled:
        tables.fills[row["account_id"], row["venue"], row["trade_id"]] = row
    for row in _json_rows(positions):
        tables.positions[row["account_id"], row["strategy_id"], row["instrument_id"]] = row
    for row in _json_rows(books):
        tables.books[row["account_id"], row["strategy_id"], row["currency"]] = row
    _write_risk(tables, account, risk)
    _write_recovery(tables, account, recovery)
    _write_claims(tables, account, recovery)
    last = None
    for row in told:
        last = tables.next_journal_id
        tables.next_journal_id += 1
        tables.journal.append({"id": last, "account_id": account, **row, "ts_init": ts_init})
        if row["sequence"]:
            tables.stories.add((account, row["client_order_id"], row["sequence"]))
    return [{"commit_order_batch": last}]


def _write_claims(tables: Tables, account: str, text: str | None) -> None:
    given: dict[str, list[Any]] = msgspec.json.decode(text) if text is not None else {}
    for row in given.get("claims", ()):
        tables.orders[account, row["client_order_id"]]["strategy_id"] = row["strategy_id"]


def _write_risk(tables: Tables, account: str, text: str | None) -> None:
    given: dict[str, list[Any]] = msgspec.json.decode(text) if text is not None else {}
    for row in given.get("counters", ()):
        amounts = {name: Decimal(row[name]) for name in _COUNTER_AMOUNTS}
        tables.risk_counters[account, row["scope"]] = {**row, **amounts, "account_id": account}
    for row in given.get("order_prices", ()):
        tables.risk_order_prices[account, row["client_order_id"]] = {**row, "account_id": account}
    for name in given.get("ended_orders", ()):
        tables.risk_order_prices.pop((account, name), None)


def _write_recovery(tables: Tables, account: str, text: str | None) -> None:
    given: dict[str, list[Any]] = msgspec.json.decode(text) if text is not None else {}
    for row in given.get("claims", ()):
        if order := tables.orders.get((account, row["client_order_id"])):
            order["strategy_id"] = row["strategy_id"]
    for row in given.get("reconciliations", ()):
        texts = {name: msgspec.json.encode(row[name]).decode() for name in ("differences", "details")}
        tables.reconciliations.append({"account_id": account, "ts": row["ts"], **texts})


def reconciliations(tables: Tables, _: Later | None, account: str, limit: int) -> list[Row]:
    return [row for row in reversed(tables.reconciliations) if row["account_id"] == account][:limit]


def drop_ended_prices(tables: Tables, _: Later | None, account: str, closed: list[str]) -> list[Row]:
    for key in list(tables.risk_order_prices):
        order = tables.orders.get(key)
        if key[0] == account and order and order["status"] in closed and order["outcome"] != "UNKNOWN":
            del tables.risk_order_prices[key]
    return []


def risk_counters(tables: Tables, _: Later | None, account: str) -> list[Row]:
    return [dict(row) for row in tables.risk_counters.values() if row["account_id"] == account]


def risk_order_prices(tables: Tables, _: Later | None, account: str) -> list[Row]:
    return [dict(row) for row in tables.risk_order_prices.values() if row["account_id"] == account]


def sent_orders(tables: Tables, _: Later | None, account: str, since_ns: int) -> list[Row]:
    rows = [
        row
        for row in tables.orders.values()
        if row["account_id"] == account
        and row["ts_init"] > since_ns
        and row["status"] != "DENIED"
        and row["strategy_id"] != "EXTERNAL"
    ]
    return sorted(map(dict, rows), key=lambda row: (row["ts_init"], row["client_order_id"]))


def _refuse_known(tables: Tables, account: str, fresh: list[Row], filled: list[Row], told: list[Row]) -> None:
    orders = [(row["account_id"], row["client_order_id"]) for row in fresh]
    fills = [(row["account_id"], row["venue"], row["trade_id"]) for row in filled]
    stories = [(account, row["client_order_id"], row["sequence"]) for row in told if row["sequence"]]
    wanted: list[tuple[list[Any], Any]] = [
        (orders, tables.orders),
        (fills, tables.fills),
        (stories, tables.stories),
    ]
    for keys, table in wanted:
        twice = [key for number, key in enumerate(keys) if key in table or key in keys[:number]]
        if twice:
            raise _postgres_error("23505", f"duplicate key value violates unique constraint: {twice[0]}")


def unfinished(tables: Tables, _: Later | None, account: str, __: Any) -> list[Row]:
    rows = [
        row
        for row in tables.orders.values()
        if row["account_id"] == account and (row["status"] not in _CLOSED or row["outcome"] == "UNKNOWN")
    ]
    return sorted(map(dict, rows), key=lambda row: (row["ts_init"], row["client_order_id"]))


def orders_by_id(tables: Tables, _: Later | None, account: str, ids: list[str]) -> list[Row]:
    return [dict(tables.orders[account, name]) for name in sorted(set(ids)) if (account, name) in tables.orders]


def order_by_venue_id(tables: Tables, _: Later | None, account: str, instrument: str, venue_id: str) -> list[Row]:
    wanted = (account, instrument, venue_id)
    return [
        dict(row)
        for row in tables.orders.values()
        if (row["account_id"], row["instrument_id"], row["venue_order_id"]) == wanted
    ]


def positions(tables: Tables, _: Later | None, account: str) -> list[Row]:
    return [dict(row) for row in tables.positions.values() if row["account_id"] == account]


def books(tables: Tables, _: Later | None, account: str) -> list[Row]:
    return [dict(row) for row in tables.books.values() if row["account_id"] == account]


def known_trade_ids(tables: Tables, _: Later | None, account: str, ids: list[str]) -> list[Row]:
    wanted = set(ids)
    return [{"trade_id": key[2]} for key in tables.fills if key[0] == account and key[2] in wanted]


def recent_trade_ids(tables: Tables, _: Later | None, account: str, limit: int) -> list[Row]:
    rows = [row for row in tables.fills.values() if row["account_id"] == account]
    rows.sort(key=lambda row: (-row["ts_event"], row["trade_id"]))
    return [{"trade_id": row["trade_id"]} for row in rows[:limit]]


def last_fill(tables: Tables, _: Later | None, account: str) -> list[Row]:
    times = [row["ts_event"] for row in tables.fills.values() if row["account_id"] == account]
    return [{"ts": max(times, default=None)}]


def put_opening(
    tables: Tables, later: Later | None, account: str, currency: str, amount: Decimal, ts: int
) -> list[Row]:
    row = {"account_id": account, "currency": currency, "amount": amount, "ts": ts}
    put = functools.partial(tables.opening.setdefault, (account, currency), row)
    if later is None:
        put()
    else:
        later.append(put)
    return []


def opening(tables: Tables, _: Later | None, account: str) -> list[Row]:
    return [dict(row) for row in tables.opening.values() if row["account_id"] == account]


def opened(tables: Tables, _: Later | None, account: str) -> list[Row]:
    times = [row["ts"] for row in tables.opening.values() if row["account_id"] == account]
    return [{"ts": min(times, default=None)}]


def unpublished(tables: Tables, _: Later | None, account: str, limit: int) -> list[Row]:
    through = tables.published.get(account, 0)
    rows = [row for row in tables.journal if row["account_id"] == account and row["id"] > through]
    return rows[:limit]


def mark_published(tables: Tables, later: Later | None, account: str, through: int) -> list[Row]:
    tables.published[account] = max(tables.published.get(account, 0), through)
    return []


def trading_states(tables: Tables, _: Later | None) -> list[Row]:
    return [dict(row) for _, row in sorted(tables.trading_states.items())]


def nothing(tables: Tables, _: Later | None, *arguments: Any) -> list[Row]:
    return []


class Handler(NamedTuple):
    """What a statement does. ``locks``: it waits for the lease's lock; ``keeps_lock``: until its transaction ends."""

    name: str
    run: Callable[..., list[Row]]
    locks: bool = False
    keeps_lock: bool = False


_KNOWN: Final[tuple[tuple[tuple[str, ...], Handler], ...]] = (
    (("commit_order_batch(",), Handler("commit_order_batch", commit_order_batch, locks=True)),
    (("pg_advisory_xact_lock(",), Handler("lock", nothing, locks=True, keeps_lock=True)),
    (("insert into leases",), Handler("acquire", acquire)),
    (("update leases", "'-infinity'"), Handler("release", release, locks=True)),
    (("update leases", "returning epoch"), Handler("renew", renew, locks=True)),
    (("from leases",), Handler("read_lease", read_lease)),
    (("insert into opening_balances",), Handler("put_opening", put_opening)),
    (("min(ts)", "from opening_balances"), Handler("opened", opened)),
    (("select currency, amount from opening_balances",), Handler("opening", opening)),
    (("from reconciliations where account_id",), Handler("reconciliations", reconciliations)),
    (("from risk_counters where account_id",), Handler("risk_counters", risk_counters)),
    (("delete from risk_order_prices", "using orders"), Handler("drop_ended_prices", drop_ended_prices)),
    (("from risk_order_prices where account_id",), Handler("risk_order_prices", risk_order_prices)),
    (("from orders", "ts_init > $2", "status <> 'denied'"), Handler("sent_orders", sent_orders)),
    (("from kill_switches", "released_at is null"), Handler("engaged_kill_switches", nothing)),
    (("from orders", "status <> all"), Handler("unfinished", unfinished)),
    (("from orders", "client_order_id = any"), Handler("orders_by_id", orders_by_id)),
    (("from orders", "venue_order_id = $3"), Handler("order_by_venue_id", order_by_venue_id)),
    (("from positions where account_id",), Handler("positions", positions)),
    (("from books where account_id",), Handler("books", books)),
    (("from fills", "trade_id = any"), Handler("known_trade_ids", known_trade_ids)),
    (("from fills", "order by ts_event desc"), Handler("recent_trade_ids", recent_trade_ids)),
    (("max(ts_event)", "from fills"), Handler("last_fill", last_fill)),
    (("insert into journal_published",), Handler("mark_published", mark_published)),
    (("from journal", "journal_published"), Handler("unpublished", unpublished)),
    (("from reconciliations",), Handler("reconciliations", nothing)),
    (("from trading_states",), Handler("trading_states", trading_states)),
    # Nobody begins a run in the simulation.
    (("select strategy_id, run from strategy_runs",), Handler("newest_runs", nothing)),
    (("select 1",), Handler("ping", nothing)),
)
WRITES: Final = frozenset(
    {"commit_order_batch", "lock", "acquire", "release", "renew", "put_opening", "mark_published", "drop_ended_prices"}
)


@functools.cache
def handler_of(query: str) -> Handler:
    """The handler of a statement's text.

    Raises:
        NotImplementedError: none knows it.
    """
    text = " ".join(query.lower().split())
    for parts, handler in _KNOWN:
        if all(part in text for part in parts):
            return handler
    raise NotImplementedError(f"the simulated store does not know this statement; teach it: {text}")


def _order_row(values: tuple[Any, ...]) -> Row:
    return {name: _plain(value) for name, value in zip(_ORDER_COLUMNS, values, strict=True)}


def _plain(value: Any) -> Any:
    return str.__str__(value) if isinstance(value, str) else value


def _json_rows(text: str | None) -> list[Row]:
    if text is None:
        return []
    rows: list[Row] = msgspec.json.decode(text)
    for row in rows:
        for name in _NUMERIC & row.keys():
            row[name] = Decimal(row[name])
    return rows


def _postgres_error(sqlstate: str, message: str) -> asyncpg.PostgresError:
    error: asyncpg.PostgresError = asyncpg.PostgresError.new({"C": sqlstate, "M": message, "D": message})
    return error
