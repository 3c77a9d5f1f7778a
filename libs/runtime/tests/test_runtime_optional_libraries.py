"""Without the modules that need a system library, everything else loads and the command line says what is missing."""

import subprocess
import sys
from typing import Final

_WITHOUT: Final = """
import sys
sys.modules["tradewind_native.fix_quickfix"] = None  # an import of it fails, as where it was not built
from tradewind.runtime.cli import build_app
from tradewind.runtime.service_registry import load_services
from tradewind.venue.adapters import adapter_named, installed_adapters
build_app()
assert "execution" in load_services()
assert adapter_named("binance").name == "binance"
assert "binance" in [one.name for one in installed_adapters() if not one.missing]
try:
    import tradewind_native.fix_sessions
except ImportError as error:
    print(error)
"""


def test_without_quickfix_all_but_fix_loads_and_one_sentence_says_so() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("FIX sessions need QuickFIX")
    assert done.stdout.count("\n") == 1
