"""The page, as files: the api service serves them from its own address wherever this package is installed beside it."""

from pathlib import Path
from typing import Final

ASSETS: Final = Path(__file__).parent / "assets"
"""What ``make ui`` has built from ``services/ui/web``: ``index.html`` and what it loads. Empty until it was built."""
