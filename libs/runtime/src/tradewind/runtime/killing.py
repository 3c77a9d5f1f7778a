"""What ``tradewind kill`` does: one command to the api service, then looking until the store shows what came of it.

Everything printed came from outside and goes through ``shown``: a reason cannot write on the terminal by itself.
"""

import asyncio
import getpass
import time
from collections.abc import Callable
from typing import Final

import msgspec

from tradewind.runtime import loop
from tradewind.runtime.platform_api import NoAnswer, PlatformApi
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.settings import PlatformSettings, load_settings
from tradewind.runtime.topics.brokers import open_buses
from tradewind.runtime.topics.plain_text import shown, shown_time
from tradewind.wire.commands import EngageKillSwitch
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import RISK_COMMANDS, Plane

DONE: Final = 0
NOT_DONE: Final = 1
_LOOK_S: Final = 0.25
_PATIENCE_S: Final = 30.0
_ADVICE: Final = (
    "  It goes on trying. Look at the reason above, at `tradewind status` and at the venue's own page;\n"
    "  do not restart services in a hurry and do not send orders past the platform. docs/operating/kill-switch.md"
)


class Switch(msgspec.Struct):
    """One engagement, as the api shows it; times are ns as text."""

    kill_id: int
    scope: str
    stage: str
    flatten: bool
    reason: str
    engaged_by: str
    engaged_why: str
    engaged_at: str
    proven_at: str | None
    positions: list[str]
    dust: list[str]
    balances: list[str]
    released_by: str | None
    released_why: str | None
    released_at: str | None
    forced: bool


class Step(msgspec.Struct):
    """One line of its history."""

    stage: str
    reason: str
    actor: str
    ts_event: str


def hand_over(scope: str, *, flatten: bool, why: str, actor: str) -> None:
    """Give the command to the broker of TRADEWIND_BUS_URL (or TRADEWIND_ORDERS_URL), past the api service.

    Raises:
        StartRefused: the bus is memory://, or the broker does not take it.
    """
    event_id, now_ns = EventIds()(), time.time_ns()
    command = EngageKillSwitch(
        event_id=event_id,
        correlation_id=event_id,
        causation_id="",
        ts_event=now_ns,
        ts_init=now_ns,
        scope=scope,
        flatten=flatten,
        actor=actor or getpass.getuser(),
        why=why,
    )
    try:
        loop.run(_publish(load_settings(PlatformSettings), command))
    except OSError as error:
        raise StartRefused(f"the broker did not take it ({shown(str(error))}); halt at the venue itself") from error


async def _publish(platform: PlatformSettings, command: EngageKillSwitch) -> None:
    async with open_buses(platform, {Plane.ORDERS}) as (buses, _), asyncio.timeout(_PATIENCE_S):
        await buses[Plane.ORDERS].publish(RISK_COMMANDS, command.scope, command)


class Killing:
    """The three commands against one address. ``say`` takes a line for the person."""

    def __init__(self, url: str, say: Callable[[str], None]) -> None:
        self._api = PlatformApi(url)
        self._say = say

    def engage(self, scope: str, *, flatten: bool, why: str, wait_s: float) -> int:
        """Give the command, then follow the stages for ``wait_s`` seconds; the exit code.

        Raises:
            StartRefused: the platform does not answer or does not take it.
        """
        known = self._steps_known(scope)
        body = {"scope": scope, "flatten": flatten, "why": why}
        try:
            self._api.post("/kill-switches", body)
        except NoAnswer as error:
            raise NoAnswer(f"{error}; or go past it with --past-api") from error
        self._say(f"The kill switch of {shown(scope)} is on its way.")
        return self._follow(scope, known, wait_s) if wait_s else DONE

    def status(self) -> int:
        """Print every switch; the exit code."""
        switches = self._switches()
        for switch in switches:
            self._say(_summary(switch))
            for line in _details(switch):
                self._say(f"  {line}")
        if not switches:
            self._say("No kill switch was ever engaged.")
        return NOT_DONE if any(switch.released_at is None for switch in switches) else DONE

    def release(self, scope: str, *, state: str, force: bool, why: str) -> int:
        """Give the command and wait until it has taken effect; the exit code."""
        body = {"scope": scope, "state": state, "force": force, "why": why}
        self._api.post("/kill-switches/release", body)
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            if self._engaged(scope) is None:
                self._say(f"{shown(scope)} is released to {shown(state)}.")
                return DONE
            time.sleep(_LOOK_S)
        self._say(f"{shown(scope)} is not released yet; look at `tradewind kill status` and at the log of risk.")
        return NOT_DONE

    def _follow(self, scope: str, known: int, wait_s: float) -> int:
        """Print each new step of the history. A store that is away for a while is waited for."""
        until, printed, silent = time.monotonic() + wait_s, known, False
        while time.monotonic() < until:
            try:
                switch = self._engaged(scope)
                steps = self._steps(switch) if switch is not None else []
            except NoAnswer as error:
                if not silent:
                    self._say(f"  {shown(str(error))}; cancels do not wait for it")
                silent, switch, steps = True, None, []
            for step in steps[printed:]:
                silent = False
                self._say(f"  {shown_time(int(step.ts_event))} {_words(step.stage, step.reason)}")
                if step.stage == "STUCK":
                    self._say(_ADVICE)
            printed = max(printed, len(steps))
            if switch is not None and len(steps) > known and switch.stage == "FLAT":
                for line in _details(switch):
                    self._say(f"  {line}")
                self._say(f"Trading goes on after: tradewind kill release {shown(scope)} --why …")
                return DONE
            time.sleep(_LOOK_S)
        self._say("Not FLAT yet; the platform goes on. Look again with: tradewind kill status")
        return NOT_DONE

    def _steps_known(self, scope: str) -> int:
        """How many steps an engagement has already; a store that is away must not stand in the way of a halt."""
        try:
            switch = self._engaged(scope)
            return len(self._steps(switch)) if switch is not None else 0
        except NoAnswer:
            return 0

    def _engaged(self, scope: str) -> Switch | None:
        return next((one for one in self._switches() if one.scope == scope and one.released_at is None), None)

    def _switches(self) -> list[Switch]:
        return self._api.get("/kill-switches", list[Switch])

    def _steps(self, switch: Switch) -> list[Step]:
        return self._api.get(f"/kill-switches/{switch.kill_id}/steps", list[Step])


def _summary(switch: Switch) -> str:
    flatten = ", flatten" if switch.flatten else ""
    begun = f"engaged {shown_time(int(switch.engaged_at))} by {shown(switch.engaged_by)}: {shown(switch.engaged_why)}"
    return f"{shown(switch.scope)}{flatten}: {_words(switch.stage, switch.reason)} ({begun})"


def _words(stage: str, reason: str) -> str:
    return f"{shown(stage)}{f': {shown(reason)}' if reason else ''}"


def _details(switch: Switch) -> list[str]:
    lines = []
    if switch.proven_at is not None:
        lines.append(f"proven by the venue's snapshot of {shown_time(int(switch.proven_at))}: no open orders")
        lines += [f"position kept: {shown(text)}" for text in switch.positions]
        lines += [f"dust, below the venue's smallest order: {shown(text)}" for text in switch.dust]
    if switch.released_at is not None:
        forced = " BY FORCE" if switch.forced else ""
        who, why = shown(switch.released_by or ""), shown(switch.released_why or "")
        lines.append(f"released{forced} {shown_time(int(switch.released_at))} by {who}: {why}")
    return lines
