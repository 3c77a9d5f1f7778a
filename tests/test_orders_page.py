"""docs/protocols/orders.md names a test for each cell; operating pages are short and begin with what not to do."""

import re
from pathlib import Path

import pytest

from tradewind.services.alerts.findings import KINDS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/protocols/orders.md").read_text(encoding="utf-8")
# Read in peace; the others are opened at night, by an alert.
GENERAL = {"security", "metrics", "alerts", "tracing", "fix-gateway"}
OPERATING = sorted(path for path in (ROOT / "docs/operating").glob("*.md") if path.stem not in GENERAL)
COLUMNS = 6
LONGEST_PAGE = 40


def known_tests() -> set[str]:
    files = [
        path for top in ("libs", "services", "tests") for path in (ROOT / top).rglob("*.py") if "tests" in path.parts
    ]
    return {name for path in files for name in re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))}


def failure_rows() -> list[list[str]]:
    section = PAGE.partition("## When something goes wrong")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 30
    assert named - known_tests() == set()


@pytest.mark.parametrize("row", failure_rows(), ids=lambda row: row[0])
def test_every_cell_names_its_test_or_the_row_that_has_it(row: list[str]) -> None:
    steps = {other[0] for other in failure_rows()} | {other[0].split()[0] for other in failure_rows()}
    assert len(row) == COLUMNS
    for cell in row[1:]:
        pointed = re.search(r"(?:^|, |: )as (\w+)", cell)
        assert "`test_" in cell or (pointed and (pointed.group(1) in steps or pointed.group(1) in row_words())), cell


def row_words() -> set[str]:
    """Columns of the same row that a cell may point at."""
    return {"late", "before"}


@pytest.mark.parametrize("path", OPERATING, ids=lambda path: path.stem)
def test_an_operating_page_is_short_and_begins_with_what_never_to_do_first(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST_PAGE
    assert any(line.startswith("**Never first:**") for line in lines[:8])


def test_every_page_that_an_alert_names_exists() -> None:
    alerts = (ROOT / "docker/prometheus/alerts.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"docs/operating/([\w-]+)\.md", alerts)) | {kind.page[:-3] for kind in KINDS.values()}
    assert named == {path.stem for path in OPERATING}
