"""Makes the pictures of the README: each view of a demo that has run for a while. Not a test.

python services/ui/tests/take_screenshots.py
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent))

from playwright.sync_api import sync_playwright
from ui_platform import CHROMIUM, ROOT, UiPlatform, visiting

PICTURES: Final = ROOT / "docs" / "pictures"
VIEWS: Final = {
    "market": "dark",
    "orders": "light",
    "portfolio": "dark",
    "strategies": "light",
    "risk": "dark",
    "system": "light",
}
RUN_S: Final = 100
"""Until there is something to see: bars, fills, a curve."""


def main() -> None:
    """Start, wait, look."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        platform = UiPlatform(Path(folder), "--seed", "7")
        try:
            platform.start()
            print(f"the demo runs for {RUN_S} s first", flush=True)
            time.sleep(RUN_S)
            for view, theme in VIEWS.items():
                with visiting(platform, browser, "ada", theme=theme) as visit:
                    page = visit.open(f"/{view}")
                    time.sleep(4)
                    page.screenshot(path=PICTURES / f"{view}.png")
                    print(PICTURES / f"{view}.png", flush=True)
        finally:
            platform.stop()
            browser.close()


if __name__ == "__main__":
    main()
