"""Lets events of the private and the market streams leave as the liar says.

One task, ``run``, owned by the server; it sends what was held back when its time has come. Order: of one stream as its
``DepartureLine`` says. Bound: that of the lines. On cancel what is held never leaves. Without rules about a stream its
events go straight through.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from tradewind.services.sim_venue.faults.departures import DepartureLine
from tradewind.services.sim_venue.faults.desk import FaultDesk
from tradewind.services.sim_venue.faults.event_facts import event_facts
from tradewind.services.sim_venue.faults.plans import HONEST_EVENT
from tradewind.services.sim_venue.streams import Payload, StreamHub
from tradewind.services.sim_venue.user_streams import UserStreams
from tradewind.services.sim_venue.websocket_frames import data_of

_MS_PER_S: Final = 1_000


class LyingStreams:
    """Stands between the exchange and the connections."""

    def __init__(self, desk: FaultDesk, hub: StreamHub, users: UserStreams) -> None:
        self._desk = desk
        self._hub = hub
        self._users = users
        self._private: dict[str, DepartureLine[bytes]] = {}
        self._market: dict[str, DepartureLine[bytes]] = {}
        self._wake = asyncio.Event()

    def deliver(self, account: str, event: bytes) -> None:
        """An event for an account's private stream."""
        desk = self._desk
        now_ms = desk.true_ms()
        line = self._private.get(account)
        plan = desk.liar.private_event(event_facts(event), now_ms) if desk.liar.script.rules else HONEST_EVENT
        if plan is HONEST_EVENT and (line is None or line.is_empty):
            self._users.deliver(account, event)
            return
        if line is None:
            line = self._private[account] = DepartureLine()
        if plan.cuts:
            self._users.cut(account)
        line.push(event, plan, now_ms)
        self._send_private(account, line, now_ms)
        self._wake.set()

    def publish(self, stream: str, event: bytes) -> None:
        """An event of a market stream."""
        if self._market_is_honest or self._market_leaves(stream, event):
            self._hub.publish(stream, event)

    def publish_burst(self, payloads: Sequence[Payload]) -> None:
        """Combined events of market streams, in their order."""
        if self._market_is_honest:
            self._hub.publish_burst(payloads)
            return
        for stream, payload in payloads:
            if self._market_leaves(stream, data_of(payload, stream)):
                self._hub.publish_burst([(stream, payload)])

    async def run(self) -> None:
        """Send what was held back, until cancelled."""
        while True:
            self._wake.clear()
            wait_s = self._send_due()
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    @property
    def _market_is_honest(self) -> bool:
        return not self._desk.liar.touches_market and not self._market

    def _market_leaves(self, stream: str, event: bytes) -> bool:
        """Whether an event leaves now and unaltered; otherwise its line has it."""
        symbol, _, kind = stream.partition("@")
        now_ms = self._desk.true_ms()
        plan = self._desk.liar.market_event(symbol.upper(), kind, now_ms)
        line = self._market.get(stream)
        if plan is HONEST_EVENT and line is None:
            return True
        if line is None:
            line = self._market[stream] = DepartureLine()
        if plan.cuts:
            self._hub.cut_listeners(stream)
        line.push(event, plan, now_ms)
        self._send_market(stream, line, now_ms)
        self._wake.set()
        return False

    def _send_due(self) -> float | None:
        """Send what is due; the seconds until more is, None when nothing waits."""
        now_ms = self._desk.true_ms()
        for account, line in self._private.items():
            self._send_private(account, line, now_ms)
        for stream, market_line in list(self._market.items()):
            self._send_market(stream, market_line, now_ms)
        lines = (*self._private.values(), *self._market.values())
        next_ms = min((line.next_ms for line in lines if line.next_ms is not None), default=None)
        return None if next_ms is None else max(next_ms - now_ms, 1) / _MS_PER_S

    def _send_private(self, account: str, line: DepartureLine[bytes], now_ms: int) -> None:
        for event in line.due(now_ms):
            self._users.deliver(account, event)

    def _send_market(self, stream: str, line: DepartureLine[bytes], now_ms: int) -> None:
        for event in line.due(now_ms):
            self._hub.publish(stream, event)
        if line.is_empty:
            del self._market[stream]
