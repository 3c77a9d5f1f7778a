"""The first strategy of the README runs as it stands there, and is as short as promised."""

import re
from pathlib import Path
from typing import Any

from tradewind.strategy.testing import engine, feed, quote

README = Path(__file__).parent.parent / "README.md"


def test_the_first_strategy_trades() -> None:
    code, service = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) < 20
    names: dict[str, Any] = {"__name__": "readme"}
    exec(code, names)
    made = engine(names["BuyTheDip"](), settings=names["DipSettings"]())
    made.start()
    assert feed(made, quote(6_000_000, 6_000_001), quote(6_000_000, 6_000_001)) == []
    (command,) = feed(made, quote(5_990_000, 5_990_001), quote(5_990_000, 5_990_001))
    assert (command.size, command.price) == (1_000, 5_990_001)
    exec(service, names)
    assert names["SERVICE"].name == "strategy-buy-the-dip"
