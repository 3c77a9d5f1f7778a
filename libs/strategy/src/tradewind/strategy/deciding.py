"""What becomes of a person's command to a strategy: another row of what is wanted, or a refusal in words. No I/O."""

import dataclasses
import enum
from typing import Final, assert_never

import msgspec

from tradewind.store.strategy_control import Action, StrategyControl
from tradewind.strategy.settings import Policy, StrategySettings
from tradewind.strategy.stored_settings import SettingsRefused, known_policy, merged
from tradewind.wire.commands import ConfigureStrategy, StartStrategy, StopStrategy, StrategyCommand

OLDEST_NS: Final = 600 * 1_000_000_000
"""A start or a change that comes later than this is not meant for now any more; a stop always is."""


class HostState(enum.StrEnum):
    """What the host of a strategy does."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """``control`` is None when the command is refused, and ``refusal`` says why. ``moves``: the host acts at once."""

    action: Action
    control: StrategyControl | None = None
    refusal: str = ""
    moves: bool = False


def decide(
    command: StrategyCommand,
    control: StrategyControl,
    environment: StrategySettings,
    *,
    platform_symbols: str,
    state: HostState,
    is_held: bool,
    now_ns: int,
) -> Decision:
    """What the command changes. ``is_held``: the policy ``hold`` keeps the strategy from trading."""
    try:
        if isinstance(command, StopStrategy):
            return _stop(command, control, environment)
        if now_ns - command.ts_init > OLDEST_NS:
            raise SettingsRefused(f"the command is {(now_ns - command.ts_init) // 1_000_000_000} s old; give it again")
        if isinstance(command, StartStrategy):
            return _start(command, control, state, is_held=is_held)
        return _configure(command, control, environment, platform_symbols)
    except SettingsRefused as error:
        return Decision(action_of(command), refusal=str(error))


def action_of(command: StrategyCommand) -> Action:
    """The command's name in the history."""
    match command:
        case StartStrategy():
            return "START"
        case StopStrategy():
            return "STOP"
        case ConfigureStrategy():
            return "CONFIGURE"
    assert_never(command)


def _start(command: StartStrategy, control: StrategyControl, state: HostState, *, is_held: bool) -> Decision:
    policy = known_policy(command.policy)
    if is_held and policy in (None, Policy.HOLD):
        raise SettingsRefused("it is held: state and store disagree; start it with policy resume, flatten or adopt")
    if not is_held and control.wanted == "RUNNING" and state in (HostState.RUNNING, HostState.STARTING):
        raise SettingsRefused("it runs already")
    wanted = _of(command, control, wanted="RUNNING", stop_policy=None, start_policy=policy)
    return Decision("START", wanted, moves=True)


def _stop(command: StopStrategy, control: StrategyControl, environment: StrategySettings) -> Decision:
    policy = known_policy(command.policy) or known_policy(control.policy) or environment.policy
    if control.wanted == "STOPPED" and control.stop_policy in (None, policy):
        raise SettingsRefused("it is stopped already" if control.stop_policy is None else "it is being stopped already")
    wanted = _of(command, control, wanted="STOPPED", stop_policy=policy, start_policy=None)
    return Decision("STOP", wanted, moves=True)


def _configure(
    command: ConfigureStrategy, control: StrategyControl, environment: StrategySettings, platform_symbols: str
) -> Decision:
    if command.version != control.version:
        raise SettingsRefused(
            f"the settings are at version {control.version}, the command is for version {command.version}; "
            "read them again"
        )
    settings = control.settings if command.settings is None else _object(command.settings)
    policy = known_policy(command.policy) or known_policy(control.policy)
    _check_symbols(merged(environment, settings, policy).symbols, platform_symbols)
    wanted = _of(command, control, settings=settings, policy=policy, version=control.version + 1)
    return Decision("CONFIGURE", wanted, moves=command.restart and control.wanted == "RUNNING")


def _check_symbols(symbols: str, platform_symbols: str) -> None:
    """A start waits for the definition of each symbol: one that nobody defines would keep it waiting for ever."""
    known = {name.strip() for name in platform_symbols.split(",")}
    if unknown := [name.strip() for name in symbols.split(",") if name.strip() and name.strip() not in known]:
        raise SettingsRefused(f"symbols: {', '.join(unknown)[:200]} is not among those of the platform")


def _of(command: StrategyCommand, control: StrategyControl, **fields: object) -> StrategyControl:
    changed = {"actor": command.actor, "why": command.why, "changed_at": command.ts_init, **fields}
    return msgspec.structs.replace(control, **changed)


def _object(text: str) -> dict[str, object]:
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise SettingsRefused(f"settings: they are no JSON object ({error})") from error
