"""Examples for the OpenAPI document: one value for each name of a field, put where no route gives its own."""

import re
from typing import Any, Final

TIME: Final = "1723161255208000000"
_MONEY: Final = "12.50"
_VALUES: Final[dict[str, tuple[Any, ...]]] = {
    TIME: (
        "ts ts_event ts_init ts_last at since first_at last_at resolved_at engaged_at stage_at proven_at released_at",
        "expires_at created_at last_used_at revoked_at last_login_at ended_at sent_at failing_since unknown_since",
        "last_record_at",
    ),
    _MONEY: (
        "net_pnl realized_pnl unrealized_pnl fees equity peak exposure free locked total books account difference",
        "at_venue in_books used limit max_drawdown drawdown notional fee_estimate would_use",
    ),
    "61837.63": ("price price_used bid ask last open high low close average_price mark_price trigger_price max_price",),
    "0.01000000": ("size filled_size signed_size bid_size ask_size volume min_size max_size fee",),
    "0.01": ("price_increment size_increment min_notional",),
    "BTCUSDT.BINANCE": ("instrument_id",),
    "market-maker": ("strategy_id",),
    "BINANCE-main": ("account_id",),
    "USDT": ("currency fee_currency quote_currency",),
    "BTC": ("base_currency",),
    "market-maker-1-163": ("client_order_id",),
    "0198c0de-5f3a-7c41-9f6e-2b6a1d0c4e11": ("event_id correlation_id causation_id",),
    "rita": ("actor acknowledged_by engaged_by released_by user",),
    "the venue confirmed it by telephone": ("why engaged_why released_why",),
    "a long sentence that nobody guesses": ("password current new",),
    "firm": ("scope",),
    "strategy-market-maker": ("service",),
}
EXAMPLES: Final[dict[str, Any]] = {
    name: value for value, groups in _VALUES.items() for group in groups for name in group.split()
} | {
    "action": "order.cancel",
    "after": "CANCELED",
    "alert_id": "12",
    "asks": [["61837.64", "1.54698000"]],
    "balances": ["0.00001 BTC"],
    "before": "ACCEPTED",
    "bids": [["61837.63", "0.87000000"]],
    "channel": "webhook",
    "claim_url": "http://127.0.0.1:8080/#/claim/lJ0w3gB6c2uT",
    "client": "127.0.0.1",
    "destination": "Orders go to the simulated venue at http://127.0.0.1:8081",
    "detail": "order 'x' is not known",
    "details": {"price": "61837.63"},
    "dust": ["BTCUSDT.BINANCE 0.00000100"],
    "feed": "LIVE",
    "feed_detail": "",
    "fields": {"position": "0.05"},
    "group": "execution",
    "holder": "host:4711:9e01a3",
    "host": "tradewind-1",
    "id": "12",
    "interval": "1m",
    "key": "market-maker",
    "kind": "order-path",
    "last_side": "BUY",
    "level": "info",
    "liquidity_side": "MAKER",
    "minimum": "warning",
    "name": "tom",
    "next_cursor": "MTcyMzE2MTI1NTIwODAwMDAwMDoxMg",
    "notification_id": "7",
    "note": "decided",
    "number": "12",
    "order_type": "LIMIT",
    "orders_differing": ["market-maker-1-163"],
    "outcome": "KNOWN",
    "page": "docs/operating/unknown-order.md",
    "permissions": ["read", "trade", "cancel"],
    "plane": "orders",
    "policy": "resume",
    "positions": ["BTCUSDT.BINANCE 0.05000000"],
    "problem": "",
    "problems": ["12.50 USDT too little is free"],
    "balance_after": {"USDT": "999938.16"},
    "trading_state": "ACTIVE",
    "reason": "the venue does not answer",
    "refusal": "",
    "role": "trader",
    "secret": "tw_5f0c1b7e9a",
    "sequence": "50093239202",
    "since_previous_ns": "84210",
    "step": "intent",
    "severity": "warning",
    "side": "BUY",
    "source": "store",
    "stage": "FLAT",
    "start_url": "/api/v1/auth/oidc/start",
    "state": "ready",
    "status": "ACCEPTED",
    "store_away": "",
    "subject": "market-maker-1-163",
    "summary": "An order's outcome has been unknown for 31 s",
    "symbol": "BTCUSDT",
    "text": "quotes again",
    "time_in_force": "GTC",
    "token": "lJ0w3gB6c2uTlJ0w3gB6c2uTlJ0w3gB6c2uTlJ0w3gB",
    "token_id": "3",
    "topic": "orders.events",
    "trade_id": "338476375",
    "type": "OrderAccepted",
    "unit": "quote currency",
    "venue": "BINANCE",
    "venue_order_id": "28457",
    "version": "0.1.0",
}
"""By the field's name."""
_NAMES: Final[dict[type, str]] = {str: "string", list: "array", dict: "object"}
_BY_TYPE: Final[dict[str, Any]] = {"integer": 3, "number": 0.25, "boolean": True, "object": {}}


def add_examples(document: dict[str, Any]) -> None:
    """Give every field of every schema an example that has none and whose type the value of its name fits."""
    for schema in document["components"]["schemas"].values():
        for name, field in schema.get("properties", {}).items():
            has_own = {"example", "examples", "enum", "const", "$ref"} & field.keys()
            if not has_own and (example := _example(name, field)) is not None:
                field["examples"] = [example]


def _example(name: str, field: dict[str, Any]) -> Any:
    choices = [one for one in field.get("anyOf", [field]) if "type" in one and "$ref" not in one.get("items", {})]
    value = EXAMPLES.get(name)
    for one in choices:
        if one["type"] == _NAMES.get(type(value)) and re.search(one.get("pattern", ""), str(value)):
            return value
    by_type = [_BY_TYPE[one["type"]] for one in choices if one["type"] in _BY_TYPE]
    # What has a form of its own, and may be left out, is.
    return by_type[0] if by_type else None
