"""Reads the venue's own record while it runs, as an oracle does, and checks it against itself."""

import sqlite3
from pathlib import Path
from typing import Any


def rows(data_dir: Path, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query on the record."""
    file = sqlite3.connect(f"file:{data_dir / 'sim-venue.sqlite3'}?mode=ro", uri=True, timeout=10)
    try:
        return file.execute(query).fetchall()
    finally:
        file.close()


def check_record(data_dir: Path) -> None:
    """Every order is its trades, and what all hold adds up to nothing. One query: the venue may be writing."""
    wrong = rows(
        data_dir,
        """
        SELECT 'order', order_id FROM orders o LEFT JOIN
            (SELECT order_id, sum(size) AS size, sum(cash) AS cash FROM trades GROUP BY order_id) t USING (order_id)
        WHERE o.executed <> coalesce(t.size, 0) OR o.cash <> coalesce(t.cash, 0)
            OR (o.state = 'FILLED') <> (o.executed = o.size)
            OR (o.state NOT IN ('NEW', 'PARTIALLY_FILLED') AND o.locked <> 0)
        UNION ALL
        SELECT 'sum', asset FROM (SELECT asset, free + locked AS amount FROM holdings
            UNION ALL SELECT asset, amount FROM house) GROUP BY asset HAVING sum(amount) <> 0
        """,
    )
    assert wrong == []
