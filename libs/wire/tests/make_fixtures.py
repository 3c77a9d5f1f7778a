"""Writes the fixture of each message type at its present version, once; a fixture that exists is never written again.

Run it after adding a type or raising a version: ``python libs/wire/tests/make_fixtures.py``, then commit the new files.
With type names as arguments it writes only these, and fails if one has its fixture already. A fixture is a promise:
everything ever written with that version can still be read.
"""

import json
import pathlib
import sys
from typing import Any, Final

import msgspec

from tradewind.wire.encoding import MESSAGE_TYPES, VERSIONS, encode

FIXTURES: Final = pathlib.Path(__file__).parent / "fixtures"

# One value per field name, never the default, so that a field that gets lost is seen.
SAMPLES: Final[dict[str, Any]] = {
    "account_id": "BINANCE-main",
    "acknowledged_by": "anna",
    "action": "SetTradingState",
    "actor": "operator",
    "after": "HALTED",
    "alert_id": 12,
    "average_price": "61837.630000000001",
    "balances": [{"currency": "BTC", "free": "0.50000000", "locked": "1E-8"}],
    "before": "ACTIVE",
    "causation_id": "00f1e2d3c4b5a697-41",
    "client_order_id": "ema-cross-3-17",
    "correlation_id": "00f1e2d3c4b5a697-40",
    "count": 2,
    "currency": "USDT",
    "detail": "update 7 follows 5",
    "ts_cause": 1_700_000_000_000_000_001,
    "ts_durable": 1_700_000_000_000_000_060,
    "ts_sent": 1_700_000_000_000_000_070,
    "ts_intent": 1_700_000_000_000_000_050,
    "uses": [{"scope": "strategy:carry", "name": "max_open_orders", "used": "3", "limit": "20"}],
    "differences": [{"currency": "BTC", "at_venue": "1.25000000", "in_books": "1.00000000"}],
    "dust": ["ema-cross BTCUSDT.BINANCE 0.00000300"],
    "event_id": "00f1e2d3c4b5a697-42",
    "expire_time": 1_700_000_060_000_000_000,
    "fee": "0.00012300",
    "fee_currency": "BNB",
    "fees": "1.25",
    "fields": '{"price":"61837.63"}',
    "filled_size": 150_000,
    "first_at": 1_700_000_000_000_000_001,
    "flatten": True,
    "force": True,
    "instrument": {
        "instrument_id": "BTCUSDT.BINANCE",
        "venue": "BINANCE",
        "symbol": "BTCUSDT",
        "base_currency": "BTC",
        "quote_currency": "USDT",
        "price_precision": 2,
        "size_precision": 5,
        "price_increment": 1,
        "size_increment": 1,
        "min_size": 1,
        "max_size": 900_000_000,
        "max_price": 100_000_000,
        "min_notional": "5.00000000",
    },
    "instrument_id": "BTCUSDT.BINANCE",
    "key": "BINANCE-main",
    "kill_id": 7,
    "kind": "EmaCross",
    "last_at": 1_700_000_030_000_000_001,
    "left_out": 3,
    "level": "warning",
    "liquidity_side": "MAKER",
    "message_type": "SubmitOrder",
    "message_version": 1,
    "name": "ServiceAway",
    "offset": 2**40,
    "open_orders": 3,
    "order_type": "LIMIT",
    "page": "docs/operating/service-away.md",
    "partition": 3,
    "payload": "gAD/",  # base64, as JSON has no bytes
    "policy": "flatten",
    "positions": ["ema-cross BTCUSDT.BINANCE 0.10000000"],
    "post_only": True,
    "price": 6_183_763,
    "realized_pnl": "-12.345678901234",
    "reason": "NOTIONAL_EXCEEDS_MAX_PER_ORDER: limit=1000 value=1001 \u2026",
    "reduce_only": True,
    "refusal": "version 3 is over",
    "resolved_at": 1_700_000_060_000_000_001,
    "revision": 5,
    "resolution": "CANCELED",
    "restart": True,
    "run": 17,
    "scope": "account:BINANCE-main",
    "sequence": 4,
    "service": "strategy-ema-cross",
    "settings": '{"fast_s":0.5}',
    "settings_in_force": '{"fast_s":0.4}',
    "settings_schema": '{"type":"object"}',
    "severity": "critical",
    "side": "SELL",
    "signed_size": -150_000,
    "size": 150_000,
    "snapshot": True,
    "stage": "VERIFYING",
    "state": "HALTED",
    "status": "ACCEPTED",
    "step": 1_234,
    "strategy_id": "ema-cross",
    "subject": "execution",
    "summary": "execution has not been there for 30 s",
    "text": "the trend has turned",
    "time_in_force": "GTD",
    "topic": "orders.commands",
    "trade_id": "3141592653",
    "trigger_price": 6_200_000,
    "ts_event": 1_700_000_000_123_456_789,
    "ts_init": 1_700_000_000_123_999_999,
    "ts_snapshot": 1_700_000_000_000_000_001,
    "unrealized_pnl": "0.1",
    "turn": 3,
    "venue": "BINANCE",
    "venue_order_id": "2718281828",
    "version": 4,
    "wanted": "STOPPED",
    "why": "drill",
}

# Values that the type itself fixes.
STATUSES: Final = {
    "OrderInitialized": "INITIALIZED",
    "OrderDenied": "DENIED",
    "OrderSubmitted": "SUBMITTED",
    "OrderRejected": "REJECTED",
    "OrderPendingCancel": "PENDING_CANCEL",
    "OrderCanceled": "CANCELED",
    "OrderExpired": "EXPIRED",
    "OrderFilled": "PARTIALLY_FILLED",
}


def fixture(name: str) -> dict[str, Any]:
    """The fixture of a type at its present version: its fields in readable form, and its bytes in hex.

    Raises:
        KeyError: a field has no sample value yet; add one to SAMPLES.
    """
    samples = {**SAMPLES, "status": STATUSES.get(name, SAMPLES["status"])}
    message_type = MESSAGE_TYPES[name]
    values = {field.name: samples[field.name] for field in msgspec.structs.fields(message_type)}
    message: Any = msgspec.json.decode(json.dumps({"type": name, **values}), type=message_type)
    fields = msgspec.json.decode(msgspec.json.encode(message))
    return {"type": name, "version": VERSIONS[name], "fields": fields, "msgpack": encode(message).hex()}


def write(name: str, folder: pathlib.Path) -> pathlib.Path:
    """Write one fixture.

    Raises:
        FileExistsError: it is there already, and what was promised is not changed.
    """
    path = folder / f"{name}.v{VERSIONS[name]}.json"
    content = json.dumps(fixture(name), indent=2, ensure_ascii=False) + "\n"
    with path.open("x", encoding="utf-8") as file:
        file.write(content)
    return path


def write_missing(folder: pathlib.Path) -> list[pathlib.Path]:
    """Write every fixture that is not there yet."""
    missing = [name for name in MESSAGE_TYPES if not (folder / f"{name}.v{VERSIONS[name]}.json").exists()]
    return [write(name, folder) for name in missing]


def main(names: list[str]) -> int:
    """Write what is asked for and say what was written; 1 when a fixture exists already."""
    FIXTURES.mkdir(exist_ok=True)
    try:
        written = [write(name, FIXTURES) for name in names] if names else write_missing(FIXTURES)
    except FileExistsError as error:
        print(f"{error.filename} exists and stays; a breaking change raises VERSIONS instead", file=sys.stderr)
        return 1
    for path in written:
        print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
