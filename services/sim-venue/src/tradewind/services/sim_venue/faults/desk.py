"""The one place that holds the present script: who lies now, what the venue's clock shows, what was done so far."""

import collections
from collections.abc import Callable
from typing import Any

import msgspec

from tradewind.services.sim_venue.changes import Changes
from tradewind.services.sim_venue.exchange import Exchange
from tradewind.services.sim_venue.faults.liar import Liar
from tradewind.services.sim_venue.faults.script import FaultScript
from tradewind.services.sim_venue.faults.view_history import ViewHistory


class FaultDesk:
    """See the module. ``true_ms`` is the venue's true clock."""

    def __init__(self, true_ms: Callable[[], int]) -> None:
        self.true_ms = true_ms
        self.history = ViewHistory()
        self.liar = Liar(FaultScript(), began_ms=true_ms())
        self._told_before: collections.Counter[str] = collections.Counter()

    def now_ms(self) -> int:
        """What the venue believes the time to be."""
        now_ms = self.true_ms()
        return now_ms + self.liar.skew_ms(now_ms)

    def tell(self, script: FaultScript, exchange: Exchange, seed: int | None = None) -> None:
        """Lie by this script from now on, in place of any other. ``seed`` replaces the script's."""
        self._told_before = self.told()
        now_ms = self.true_ms()
        self.liar = Liar(script, began_ms=now_ms, seed=seed)
        if not self.liar.needs_history:
            self.history.end()
        elif not self.history.is_kept:
            self.history.begin(exchange.open_orders.values(), exchange.balances, now_ms)

    def note(self, changes: Changes) -> None:
        """Take a step of the exchange, for views of the past."""
        self.history.note(changes, self.true_ms())

    def told(self) -> collections.Counter[str]:
        """Lies told since the venue began, by their names."""
        told = collections.Counter(self._told_before)
        for rule in self.liar.hits():
            if rule.hits:
                told[rule.lie] += rule.hits
        return told

    def shown(self) -> dict[str, Any]:
        """The script with the hits of each rule, as ``GET /sim/v1/faults`` answers it."""
        liar = self.liar
        rules = [
            {**msgspec.to_builtins(rule), "name": counted.name, "matches": counted.matches, "hits": counted.hits}
            for rule, counted in zip(liar.script.rules, liar.hits(), strict=True)
        ]
        return {"seed": liar.seed, "began_ms": liar.began_ms, "skew_ms": liar.skew_ms(self.true_ms()), "rules": rules}
