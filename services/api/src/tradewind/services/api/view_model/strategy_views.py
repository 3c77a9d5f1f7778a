"""Strategies as REST and the stream show them: the last word of each host, profit, and the newest lines of its log.

Fed by ``feeding`` through the view model. Bounds: MOST_STRATEGIES, and LINES_KEPT lines of each.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec
from typing_extensions import TypedDict

from tradewind.model.identifiers import AccountId, StrategyId
from tradewind.services.api.view_model.changes import Latest, Revisions
from tradewind.services.api.view_model.order_views import money_text
from tradewind.services.api.view_model.views import ServiceView
from tradewind.wire.events import EquityChanged, StrategyLogged, StrategyStatusChanged

MOST_STRATEGIES: Final = 1_000
LINES_KEPT: Final = 1_000
LINES_STREAMED: Final = 300
AWAY: Final = "AWAY"
_ABSENT: Final = frozenset({"stopped", "restarting"})
_decode_object: Final = msgspec.json.Decoder(dict[str, Any]).decode


class StrategyView(TypedDict):
    """One strategy. ``desired`` is what people asked for, ``run`` the number of its start, ``refusal`` why the last
    command was not taken. AWAY: no process hosts it now; a stop that is given now is taken when one does."""

    strategy_id: str
    kind: str
    service: str
    state: Literal["RUNNING", "STOPPED", "STARTING", "STOPPING", "FAILED", "AWAY"]
    reason: str
    desired: Literal["RUNNING", "STOPPED"]
    policy: str
    since: str
    run: int
    version: int
    refusal: str
    currency: str | None
    net_pnl: str | None
    realized_pnl: str | None
    unrealized_pnl: str | None
    fees: str | None


class StrategyDetail(StrategyView):
    """With its settings: those of the next start, those in force, and their JSON Schema with titles, units, bounds."""

    settings: dict[str, Any]
    settings_in_force: dict[str, Any]
    schema: dict[str, Any]


class LogLineView(TypedDict):
    """One line of a strategy's log. ``left_out``: lines before it that were too many to tell."""

    number: str
    strategy_id: str
    ts: str
    level: str
    text: str
    fields: dict[str, Any]
    left_out: int


Equity = Latest[tuple[AccountId, StrategyId], EquityChanged]


class StrategyBoard:
    """What is known of every strategy. ``revision`` rises with every word of a host, ``log_revision`` of one's log."""

    def __init__(self, revisions: Revisions) -> None:
        self._revisions = revisions
        self._statuses: dict[StrategyId, StrategyStatusChanged] = {}
        self._lines: dict[StrategyId, deque[tuple[int, LogLineView]]] = {}
        self._numbers = itertools.count(1)
        self.revision = 0

    def take(self, status: StrategyStatusChanged) -> None:
        """Keep a host's word, unless a later start has spoken."""
        known = self._statuses.get(status.strategy_id)
        if known is not None and (known.run, known.ts_init) > (status.run, status.ts_init):
            return
        if known is None and len(self._statuses) >= MOST_STRATEGIES:
            return
        self._statuses[status.strategy_id] = status
        self.revision = self._revisions.next()

    def take_line(self, line: StrategyLogged) -> None:
        """Keep a line, and forget the oldest past the bound."""
        lines = self._lines.get(line.strategy_id)
        if lines is None:
            if len(self._lines) >= MOST_STRATEGIES:
                return
            lines = self._lines[line.strategy_id] = deque(maxlen=LINES_KEPT)
        lines.append((self._revisions.next(), _line_view(next(self._numbers), line)))

    def find(self, strategy_id: str) -> StrategyStatusChanged | None:
        """The last word of a strategy's host."""
        return self._statuses.get(StrategyId(strategy_id))

    def rows(self, equity: Equity, services: Iterable[ServiceView]) -> list[StrategyView]:
        """All strategies by name. ``services`` are those that are there."""
        by_name = {service["name"]: service for service in services}
        return [
            strategy_view(status, equity.get((status.account_id, status.strategy_id)), by_name)
            for _, status in sorted(self._statuses.items())
        ]

    def log_revision(self, strategy_id: str) -> int:
        """The revision of the newest line; 0 without one."""
        lines = self._lines.get(StrategyId(strategy_id))
        return lines[-1][0] if lines else 0

    def lines_since(self, strategy_id: str, revision: int) -> list[LogLineView]:
        """Lines after a revision, oldest first, at most LINES_STREAMED."""
        lines = self._lines.get(StrategyId(strategy_id), ())
        newer = itertools.takewhile(lambda entry: entry[0] > revision, reversed(lines))
        return [line for _, line in itertools.islice(newer, LINES_STREAMED)][::-1]

    def lines(self, strategy_id: str, limit: int, before: int | None) -> list[LogLineView]:
        """Lines of a number below ``before``, newest first."""
        lines = (line for _, line in reversed(self._lines.get(StrategyId(strategy_id), ())))
        older = (line for line in lines if before is None or int(line["number"]) < before)
        return list(itertools.islice(older, limit))


def strategy_view(
    status: StrategyStatusChanged, equity: EquityChanged | None, services: Mapping[str, ServiceView]
) -> StrategyView:
    """One row."""
    state, reason, since = status.state, status.reason, status.ts_event
    service = services.get(status.service)
    if service is None or service["state"] in _ABSENT:
        state = AWAY
        reason = f"the service {status.service} is not there" + (f": {service['reason']}" if service else "")
        since = int(service["since"]) if service else since
    return StrategyView(
        strategy_id=status.strategy_id,
        kind=status.kind,
        service=status.service,
        state=state,  # type: ignore[typeddict-item]
        reason=reason,
        desired=status.wanted,  # type: ignore[typeddict-item]
        policy=status.policy,
        since=str(since),
        run=status.run,
        version=status.version,
        refusal=status.refusal,
        currency=equity.currency if equity else None,
        net_pnl=money_text(equity.realized_pnl + equity.unrealized_pnl - equity.fees) if equity else None,
        realized_pnl=money_text(equity.realized_pnl) if equity else None,
        unrealized_pnl=money_text(equity.unrealized_pnl) if equity else None,
        fees=money_text(equity.fees) if equity else None,
    )


def strategy_detail(
    status: StrategyStatusChanged, equity: EquityChanged | None, services: Mapping[str, ServiceView]
) -> StrategyDetail:
    """The row with its settings."""
    return StrategyDetail(
        **strategy_view(status, equity, services),
        settings=_decode_object(status.settings),
        settings_in_force=_decode_object(status.settings_in_force),
        schema=_decode_object(status.settings_schema),
    )


def _line_view(number: int, line: StrategyLogged) -> LogLineView:
    try:
        fields = _decode_object(line.fields)
    except msgspec.DecodeError:
        fields = {}
    return LogLineView(
        number=str(number),
        strategy_id=line.strategy_id,
        ts=str(line.ts_event),
        level=line.level,
        text=line.text,
        fields=fields,
        left_out=line.left_out,
    )
