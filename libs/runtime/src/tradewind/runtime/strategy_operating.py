"""What ``tradewind strategies`` does: one command to the api service, then looking until the row tells what came of it.

Everything printed came from outside and goes through ``shown``.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from tradewind.runtime.platform_api import PlatformApi
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.topics.plain_text import shown

DONE: Final = 0
NOT_DONE: Final = 1
_LOOK_S: Final = 0.25


class Row(msgspec.Struct):
    """One strategy, as the api shows it."""

    strategy_id: str
    state: str
    desired: str
    reason: str
    policy: str
    run: int
    version: int
    refusal: str
    net_pnl: str | None = None
    currency: str | None = None


class Detail(Row, kw_only=True):
    """With its settings and their form."""

    settings: dict[str, Any]
    schema: dict[str, Any]


class _Rows(msgspec.Struct):
    rows: list[Row]


class StrategyOperating:
    """The commands against one address. ``say`` takes a line for the person."""

    def __init__(self, url: str, say: Callable[[str], None]) -> None:
        self._api = PlatformApi(url)
        self._say = say

    def show_all(self) -> int:
        """Print every strategy; the exit code."""
        rows = self._api.get("/strategies", _Rows).rows
        for row in rows:
            pnl = f"  {row.net_pnl} {row.currency}" if row.net_pnl is not None else ""
            self._say(shown(f"{row.strategy_id:<24} {row.state:<9} policy {row.policy:<8}{pnl}  {row.reason}".rstrip()))
        if not rows:
            self._say("No strategy has told of itself.")
        return DONE if all(row.state == row.desired for row in rows) else NOT_DONE

    def start(self, name: str, *, why: str, policy: str, wait_s: float) -> int:
        """Start one, and look until it runs.

        Raises:
            StartRefused: the platform does not answer or does not take it.
        """
        before = self._detail(name)
        self._api.post(f"{_path(name)}/start", {"why": why, **({"policy": policy} if policy else {})})
        return self._follow(name, "RUNNING", before, wait_s)

    def stop(self, name: str, *, why: str, policy: str, wait_s: float) -> int:
        """Stop one, and look until it is.

        Raises:
            StartRefused: the platform does not answer or does not take it.
        """
        before = self._detail(name)
        self._api.post(f"{_path(name)}/stop", {"why": why, **({"policy": policy} if policy else {})})
        return self._follow(name, "STOPPED", before, wait_s)

    def change(self, name: str, changes: Sequence[str], *, why: str, policy: str, restart: bool, wait_s: float) -> int:
        """Store settings or a policy; without any, print what there is.

        Raises:
            StartRefused: the platform does not answer or does not take it, or a value has no form.
        """
        before = self._detail(name)
        if not changes and not policy:
            self._print_settings(before)
            return DONE
        if changes:
            values = {**before.settings, **dict(_value(text, before.schema) for text in changes)}
            body = {"values": values, "version": before.version, "why": why, "restart": restart}
            self._api.put(f"{_path(name)}/settings", body)
            code = self._until(name, before, lambda row: row.version > before.version, wait_s)
            if code != DONE or not policy:
                return code
            before = self._detail(name)
        self._api.put(f"{_path(name)}/policy", {"policy": policy, "why": why})
        return self._until(name, before, lambda row: row.version > before.version, wait_s)

    def _follow(self, name: str, state: str, before: Row, wait_s: float) -> int:
        def is_there(row: Row) -> bool:
            return (row.state, row.desired) == (state, state) and (row.run, row.state) != (before.run, before.state)

        return self._until(name, before, is_there, wait_s)

    def _until(self, name: str, before: Row, holds: Callable[[Row], bool], wait_s: float) -> int:
        """Print the row whenever it says something new, until it holds, is refused, or time is over."""
        ends_s = time.monotonic() + wait_s
        told = ""
        while wait_s:
            row = self._detail(name)
            words = f"{name}: {row.state}, settings of version {row.version}{': ' * bool(row.reason)}{row.reason}"
            if words != told:
                self._say(shown(words))
                told = words
            if holds(row):
                return DONE
            if row.refusal and row.refusal != before.refusal:
                self._say(shown(f"{name}: not taken: {row.refusal}"))
                return NOT_DONE
            if time.monotonic() > ends_s:
                self._say(f"It is not there yet; look at it with: tradewind strategies list (waited {wait_s:.0f} s)")
                return NOT_DONE
            time.sleep(_LOOK_S)
        return DONE

    def _print_settings(self, detail: Detail) -> None:
        fields = detail.schema.get("properties", {})
        self._say(shown(f"{detail.strategy_id}: policy {detail.policy}, settings of version {detail.version}"))
        for name, value in detail.settings.items():
            field = fields.get(name, {})
            words = " ".join(str(field[key]) for key in ("unit", "title") if field.get(key))
            self._say(shown(f"  {name}={value}  {words}".rstrip()))

    def _detail(self, name: str) -> Detail:
        return self._api.get(_path(name), Detail)


def _path(name: str) -> str:
    return f"/strategies/{quote(name, safe='')}"


def _value(text: str, schema: dict[str, Any]) -> tuple[str, Any]:
    """A name and its value, in the type that the form wants; whether it fits is the platform's word.

    Raises:
        StartRefused: it is no NAME=VALUE.
    """
    name, separator, value = text.partition("=")
    if not separator:
        raise StartRefused(f"{shown(text)!r} is no NAME=VALUE, like fast_s=0.8")
    field = schema.get("properties", {}).get(name, {})
    if field.get("type") == "string":
        return name, value
    try:
        return name, msgspec.json.decode(value.encode())
    except msgspec.DecodeError:
        return name, value
