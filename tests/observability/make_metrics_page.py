"""Writes the table of ``docs/operating/metrics.md`` from what the sources register.

python tests/observability/make_metrics_page.py            writes it
python tests/observability/make_metrics_page.py --check    says whether it is right; exit status 1 if not
"""

import itertools
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from observability.registered_metrics import ROOT, Registered, registered

PAGE: Final = ROOT / "docs" / "operating" / "metrics.md"
BEGIN: Final = "<!-- Written by tests/observability/make_metrics_page.py from the sources. -->"
COMMAND: Final = "python tests/observability/make_metrics_page.py"


def table() -> str:
    """The table, as it must stand on the page."""
    lines = ["| metric | kind | labels besides `service` | what | from |", "|---|---|---|---|---|"]
    for name, group in itertools.groupby(registered(), key=lambda one: one.name):
        lines.append(_line(name, list(group)))
    return "\n".join([BEGIN, "", *lines, ""])


def page_with_table() -> str:
    """The whole page as it must be."""
    words, _, _ = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return words + table()


def _line(name: str, rows: list[Registered]) -> str:
    owners = ", ".join(f"`{owner}`" for owner in sorted({one.owner for one in rows}))
    labels = ", ".join(f"`{label}`" for label in rows[0].labels if label != "service")
    return f"| `{name}` | {rows[0].kind} | {labels} | {rows[0].help} | {owners} |"


def main() -> int:
    """The exit status."""
    if sys.argv[1:] == ["--check"]:
        return 0 if PAGE.read_text(encoding="utf-8") == page_with_table() else 1
    PAGE.write_text(page_with_table(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
