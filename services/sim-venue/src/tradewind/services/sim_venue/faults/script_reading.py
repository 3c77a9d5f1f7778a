"""Reads fault scripts from TOML or JSON and checks them whole before any of it is believed."""

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.services.sim_venue.faults import script
from tradewind.services.sim_venue.faults.script import CLOCK_LIE, EVENT_LIES, LIES, VIEW_LIE, FaultScript, Rule

SCRIPTS: Final = Path(__file__).parent / "scripts"
_RANGES: Final = {
    "from_ms": (0, script.MAX_COUNT),
    "until_ms": (0, script.MAX_COUNT),
    "nth": (1, script.MAX_COUNT),
    "every": (1, script.MAX_COUNT),
    "run": (1, script.MAX_COUNT),
    "times": (0, script.MAX_COUNT),
    "jitter_ms": (0, script.MAX_MS),
    "percent": (1, 100),
    "copies": (2, script.MAX_COPIES),
    "after_events": (1, script.MAX_COPIES),
    "status": (500, 599),
    "code": (-99_999, 0),
    "retry_after_s": (0, script.MAX_MS // 1_000),
}
_CHOICES: Final = {
    "endpoints": script.ENDPOINTS,
    "events": script.EVENT_KINDS,
    "streams": script.STREAMS,
}
_OF_EVENTS: Final = frozenset({"events", "on", "streams"})
_OF_COUNTING: Final = frozenset({"nth", "every", "run", "times", "probability", "jitter_ms"})
_OF_TARGETS: Final = frozenset({"endpoints", "symbol", "client_order_id"})
_NEEDS_MS: Final = frozenset(
    {"late_request", "stuck_request", "late_answer", "late_event", "slow_stream", VIEW_LIE, CLOCK_LIE}
)


class ScriptRefused(ValueError):
    """A script cannot be used; the message names the rule and the field."""


def script_path(name: str) -> Path:
    """Where a script is: ``rude`` is one that comes with the venue, everything else is a path.

    Raises:
        ScriptRefused: a bare name that no script here has.
    """
    if name not in (known := sorted(path.stem for path in SCRIPTS.glob("*.toml"))):
        path = Path(name).expanduser()
        if path.suffix:
            return path
        raise ScriptRefused(f"{name[: script.MAX_TEXT]!r} is no path of a script, and none of {', '.join(known)}")
    return SCRIPTS / f"{name}.toml"


def load_script(path: Path) -> FaultScript:
    """The script in a TOML or, with the ending .json, a JSON file.

    Raises:
        ScriptRefused: it cannot be read or used; the message says what to change.
    """
    try:
        with path.open("rb") as file:
            text = file.read(script.MAX_SCRIPT_BYTES + 1)
    except OSError as error:
        raise ScriptRefused(f"{path} cannot be read: {error.strerror}; give the path of a fault script") from error
    try:
        return parse_script(text, toml=path.suffix != ".json")
    except ScriptRefused as error:
        raise ScriptRefused(f"{path}: {error}") from error


def parse_script(text: bytes, *, toml: bool = False) -> FaultScript:
    """The script in a JSON or TOML text.

    Raises:
        ScriptRefused: it cannot be used; the message names the rule and the field.
    """
    if len(text) > script.MAX_SCRIPT_BYTES:
        raise ScriptRefused(f"a script has at most {script.MAX_SCRIPT_BYTES} bytes")
    try:
        values = tomllib.loads(text.decode()) if toml else msgspec.json.decode(text)
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ScriptRefused(f"it is no {'TOML' if toml else 'JSON'}: {error}") from error
    return script_of(values)


def script_of(values: Any) -> FaultScript:
    """The script that decoded JSON or TOML means: ``{"seed": 1, "rules": [{"lie": …}, …]}``.

    Raises:
        ScriptRefused: it cannot be used; the message names the rule and the field.
    """
    if not isinstance(values, dict):
        raise ScriptRefused("a script is a table with seed and rules")
    given = values.get("rules", [])
    if not isinstance(given, list) or len(given) > script.MAX_RULES:
        raise ScriptRefused(f"rules: give a list of at most {script.MAX_RULES} tables")
    rules = tuple(_rule(number, table) for number, table in enumerate(given, 1))
    if len({rule.name for rule in rules}) != len(rules):
        raise ScriptRefused("two rules have the same name: give each its own, or none")
    try:
        bare = msgspec.convert({**values, "rules": []}, FaultScript)
    except msgspec.ValidationError as error:
        raise ScriptRefused(f"the script: {error}") from error
    if not 0 <= bare.seed <= 2**63 - 1:
        raise ScriptRefused("seed: give a whole number from 0 to 9223372036854775807")
    return FaultScript(seed=bare.seed, rules=rules)


def _rule(number: int, table: Any) -> Rule:
    if not isinstance(table, dict):
        raise ScriptRefused(f"rule {number} is no table")
    shown = f"rule {number}"
    try:
        rule = msgspec.convert(table, Rule)
    except msgspec.ValidationError as error:
        raise ScriptRefused(f"{shown}: {error}") from error
    if rule.lie not in LIES:
        raise ScriptRefused(f"{shown}, field lie: {rule.lie[: script.MAX_TEXT]!r} is none of {', '.join(LIES)}")
    shown = f"{shown} ({rule.lie})"
    if problem := _problem(rule, table.keys()):
        raise ScriptRefused(f"{shown}, field {problem}")
    return msgspec.structs.replace(rule, name=rule.name or f"{number}-{rule.lie}")


def _problem(rule: Rule, given: Collection[str]) -> str | None:
    """What is wrong with a rule: the field and why."""
    for name, (least, most) in _RANGES.items():
        if not least <= (value := getattr(rule, name)) <= most:
            return f"{name}: {value} is not from {least} to {most}"
    for name, choices in _CHOICES.items():
        if wrong := [each for each in getattr(rule, name) if each not in choices]:
            return f"{name}: {wrong[0][: script.MAX_TEXT]!r} is none of {', '.join(choices)}"
    for name in ("name", "symbol", "client_order_id"):
        if len(text := getattr(rule, name)) > script.MAX_TEXT or not text.isprintable():
            return f"{name}: give at most {script.MAX_TEXT} printable letters"
    if not 0.0 < rule.probability <= 1.0:
        return f"probability: {rule.probability} is not above 0 and at most 1"
    if rule.until_ms and rule.until_ms <= rule.from_ms:
        return "until_ms: it is not later than from_ms"
    if rule.every > 1 and rule.run > rule.every:
        return "run: it is longer than every"
    return _misplaced(rule, frozenset(given)) or _ms_problem(rule)


def _misplaced(rule: Rule, given: frozenset[str]) -> str | None:
    """A field that this lie does not read: silence about it would hide a mistake."""
    if rule.lie in EVENT_LIES:
        if rule.on not in ("private", "market"):
            return f"on: {rule.on[: script.MAX_TEXT]!r} is none of private, market"
        unread = {"endpoints"} | ({"events", "client_order_id"} if rule.on == "market" else {"streams"})
    elif rule.lie == CLOCK_LIE:
        unread = set(_OF_EVENTS | _OF_COUNTING | _OF_TARGETS)
    else:
        unread = set(_OF_EVENTS)
    if wrong := sorted(given & unread):
        return f"{wrong[0]}: this lie does not read it"
    if (only := _only_endpoint(rule.lie)) and set(rule.endpoints) - {only}:
        return f"endpoints: this lie is for {only} alone"
    if rule.lie == VIEW_LIE and (wrong := sorted(set(rule.endpoints) - set(script.VIEW_ENDPOINTS))):
        return f"endpoints: {wrong[0]} shows no orders; give some of {', '.join(script.VIEW_ENDPOINTS)}"
    return None


def _ms_problem(rule: Rule) -> str | None:
    least = -script.MAX_MS if rule.lie == CLOCK_LIE else 0
    most = script.MAX_STALE_MS if rule.lie == VIEW_LIE else script.MAX_MS
    if not least <= rule.ms <= most:
        return f"ms: {rule.ms} is not from {least} to {most}"
    if rule.lie in _NEEDS_MS and rule.ms == 0:
        return "ms: this lie needs it, and not 0"
    if rule.lie == VIEW_LIE and rule.ms + rule.jitter_ms > script.MAX_STALE_MS:
        return f"jitter_ms: with ms it is above {script.MAX_STALE_MS}"
    return None


def _only_endpoint(lie: str) -> str | None:
    if lie == "fill_before_ack":
        return "new_order"
    return "cancel_order" if lie in ("fill_before_cancel", "fill_after_cancel") else None
