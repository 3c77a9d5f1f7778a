"""Listen keys of the user data stream. Source: Binance spot API, "User Data Streams"; a key lives 60 minutes.

A listen key is the name of its stream, so whoever knows it may listen.
"""

import asyncio
import secrets
from collections.abc import Callable

from tradewind.services.sim_venue.refusals import Refused
from tradewind.services.sim_venue.reports import listen_key_expired
from tradewind.services.sim_venue.streams import StreamHub


class UserStreams:
    """One key for each account: asked for again, it is the same one, alive for longer."""

    def __init__(self, hub: StreamHub, lifetime_s: float, now_ms: Callable[[], int]) -> None:
        self._hub = hub
        self._lifetime_ms = int(lifetime_s * 1_000)
        self._now_ms = now_ms
        self._keys: dict[str, tuple[str, int]] = {}
        """Account: key, and when it runs out."""

    def deliver(self, account: str, event: bytes) -> None:
        """Send an event to the account's listeners."""
        if (entry := self._keys.get(account)) is not None:
            self._hub.publish(entry[0], event)

    def cut(self, account: str) -> None:
        """End the account's connections at once; its key lives on."""
        if (entry := self._keys.get(account)) is not None:
            self._hub.cut_listeners(entry[0])

    def open(self, account: str) -> str:
        """The account's key, new or prolonged."""
        key = self._keys[account][0] if account in self._keys else secrets.token_hex(32)
        self._keys[account] = (key, self._now_ms() + self._lifetime_ms)
        return key

    def prolong(self, key: str) -> None:
        """Keep a key alive. Raises Refused -1125."""
        self._keys[self._account(key)] = (key, self._now_ms() + self._lifetime_ms)

    async def end(self, key: str) -> None:
        """Close a key and its connections. Raises Refused -1125."""
        del self._keys[self._account(key)]
        await self._hub.end_stream(key, listen_key_expired(key, self._now_ms()))

    async def expire(self) -> None:
        """End keys that nobody kept alive, until cancelled. Owned by the server."""
        while True:
            await asyncio.sleep(min(1.0, self._lifetime_ms / 2_000))
            now_ms = self._now_ms()
            for key in [key for key, until_ms in self._keys.values() if until_ms <= now_ms]:
                await self.end(key)

    def _account(self, key: str) -> str:
        for account, (known, _) in self._keys.items():
            if secrets.compare_digest(known.encode(), key.encode()):
                return account
        raise Refused(-1125, "This listenKey does not exist.")
