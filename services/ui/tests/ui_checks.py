"""What every test of a view asks of it: that axe finds nothing serious, and that it does not scroll sideways."""

import gzip
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page
from ui_platform import ROOT

AXE: Final = ROOT / "services/ui/web/node_modules/axe-core/axe.min.js"
_GRAVE: Final = frozenset({"serious", "critical"})


def grave_findings(page: Page) -> list[str]:
    """What axe calls serious or critical, with the first place of each."""
    # Run in the page as the browser's tools do; its own policy would refuse a script from elsewhere.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary'][:300]}"
        for one in found["violations"]
        if one["impact"] in _GRAVE
    ]


def sideways_px(page: Page) -> int:
    """How much wider than the window the page is."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider


def compressed_bytes(folder: Path, pattern: str) -> int:
    """All files of a pattern as a server sends them."""
    return sum(len(gzip.compress(path.read_bytes(), 9)) for path in folder.rglob(pattern))
