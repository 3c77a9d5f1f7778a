"""What ``tradewind status`` prints: every process of the deployment as a table, or one process's services.

Texts come from elsewhere, so they are printed as they are and never read as markup.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from tradewind.runtime.status_line import duration
from tradewind.store.presence import ProcessPresence

SERVICE_COLUMNS: Final = ("service", "kind", "state", "restarts", "reason")
_NS_PER_S: Final = 1_000_000_000


def services_table(rows: Iterable[Sequence[str]]) -> Table:
    """One row per service; each has the texts of SERVICE_COLUMNS."""
    return _table(SERVICE_COLUMNS, rows)


def processes_table(processes: Sequence[ProcessPresence]) -> Table:
    """One row per service of each process, the process named in its first."""
    return _table(("host", "pid", "version", "up", *SERVICE_COLUMNS), _process_rows(processes))


def _process_rows(processes: Sequence[ProcessPresence]) -> Iterable[Sequence[str]]:
    now_ns = time.time_ns()
    for process in processes:
        up_s = max(now_ns - process.since_ns, 0) / _NS_PER_S
        head: Sequence[str] = (process.host, str(process.pid), process.version, duration(up_s))
        for one in process.services:
            yield *head, one.name, one.kind, one.state, str(one.restarts), one.reason
            head = ("", "", "", "")
        if not process.services:
            yield *head, "none yet", "", "", "", ""


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    return table
