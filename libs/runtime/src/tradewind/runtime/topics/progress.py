"""How far a replay is, on standard error: a bar on a terminal, nothing elsewhere."""

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tradewind.runtime.topics import exporting


@contextlib.contextmanager
def progress_bar(name: str) -> Iterator[exporting.Progress]:
    """What ``export`` calls while the bar is shown."""
    columns = (TextColumn(name, markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(name, total=None)
        yield lambda read, total: bar.update(task, completed=read, total=total)
