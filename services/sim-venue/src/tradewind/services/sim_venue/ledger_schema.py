"""The tables of the venue's own record. Integers are amounts of 0.00000001, prices mantissas, times in ms UTC."""

from typing import Final

VERSION: Final = 1

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holdings (
    account TEXT NOT NULL, asset TEXT NOT NULL, free INTEGER NOT NULL CHECK (free >= 0),
    locked INTEGER NOT NULL CHECK (locked >= 0), PRIMARY KEY (account, asset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS house (
    book TEXT NOT NULL, asset TEXT NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (book, asset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    order_id INTEGER PRIMARY KEY, account TEXT NOT NULL, symbol TEXT NOT NULL, client_order_id TEXT NOT NULL,
    side INTEGER NOT NULL, order_type TEXT NOT NULL, time_in_force TEXT NOT NULL, price INTEGER NOT NULL,
    size INTEGER NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, executed INTEGER NOT NULL,
    cash INTEGER NOT NULL, locked INTEGER NOT NULL, state TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS orders_by_client_id ON orders (account, symbol, client_order_id, order_id);
CREATE INDEX IF NOT EXISTS orders_open ON orders (order_id) WHERE state IN ('NEW', 'PARTIALLY_FILLED');
CREATE TABLE IF NOT EXISTS trades (
    trade_id INTEGER PRIMARY KEY, account TEXT NOT NULL, symbol TEXT NOT NULL, order_id INTEGER NOT NULL,
    side INTEGER NOT NULL, price INTEGER NOT NULL, size INTEGER NOT NULL, cash INTEGER NOT NULL, fee INTEGER NOT NULL,
    fee_asset TEXT NOT NULL, maker INTEGER NOT NULL, time_ms INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS trades_by_account ON trades (account, symbol, trade_id);
CREATE INDEX IF NOT EXISTS trades_by_order ON trades (order_id);
CREATE TABLE IF NOT EXISTS ouch_messages (sequence INTEGER PRIMARY KEY, message BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS ouch_tokens (token TEXT PRIMARY KEY, order_id INTEGER NOT NULL) WITHOUT ROWID;
"""

PUT_ORDER: Final = "INSERT OR REPLACE INTO orders VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
PUT_TRADE: Final = "INSERT INTO trades VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
PUT_HOLDING: Final = "INSERT OR REPLACE INTO holdings VALUES (?,?,?,?)"
PUT_HOUSE: Final = "INSERT OR REPLACE INTO house VALUES (?,?,?)"
PUT_COUNTER: Final = "INSERT OR REPLACE INTO counters VALUES (?,?)"

OPEN_ORDERS: Final = "SELECT * FROM orders WHERE state IN ('NEW', 'PARTIALLY_FILLED') ORDER BY order_id"
ORDER_BY_ID: Final = "SELECT * FROM orders WHERE order_id = ? AND account = ? AND symbol = ?"
ORDERS_BY_CLIENT_ID: Final = (
    "SELECT * FROM orders WHERE client_order_id = ? AND account = ? AND symbol = ? ORDER BY order_id DESC LIMIT ?"
)
ORDERS: Final = "SELECT * FROM orders WHERE account = ? AND symbol = ? AND {} ORDER BY order_id {} LIMIT ?"
TRADES: Final = "SELECT * FROM trades WHERE account = ? AND symbol = ? AND {} ORDER BY trade_id {} LIMIT ?"
PUT_OUCH_MESSAGE: Final = "INSERT INTO ouch_messages VALUES (?,?)"
PUT_OUCH_TOKEN: Final = "INSERT INTO ouch_tokens VALUES (?,?)"  # noqa: S105 - an order's name, no secret
OUCH_MESSAGES: Final = "SELECT message FROM ouch_messages WHERE sequence >= ? ORDER BY sequence LIMIT ?"
OUCH_TOKEN: Final = "SELECT 1 FROM ouch_tokens WHERE token = ?"  # noqa: S105 - the same
OPEN_OUCH_ORDERS: Final = (
    "SELECT order_id, token FROM ouch_tokens JOIN orders USING (order_id) WHERE state IN ('NEW', 'PARTIALLY_FILLED')"
)
