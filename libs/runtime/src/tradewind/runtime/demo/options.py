"""What the user asked of a demo, checked, and the environment that makes the services do it."""

import dataclasses
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tradewind.runtime.broker_urls import (
    BUS_VARIABLE,
    DEFAULT_BROKER_URL,
    MARKET_DATA_VARIABLE,
    ORDERS_VARIABLE,
    with_topic_prefix,
)
from tradewind.runtime.captures.opening import why_no_replay
from tradewind.runtime.demo.venue_paths import VenuePath, path_environment
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service_registry import installed_names
from tradewind.runtime.settings import FILE_SUFFIX, PREFIX, PlatformSettings, load_settings, service_prefix

_API_PORT: Final = 8080
_VENUE_PORT: Final = 8081
_PREFIX_BYTES: Final = 4
STRATEGY_PREFIX: Final = "strategy-"
_ADDRESSES: Final = (f"{PREFIX}VENUE_REST_URL", f"{PREFIX}VENUE_STREAM_URL")


@dataclasses.dataclass(frozen=True, slots=True)
class DemoOptions:
    """``speed`` 0 means as fast as it goes; ``data_dir`` None the default folder, or a temporary one in a replay;
    ``bus`` None the one of the settings."""

    replay: Path | None
    speed: float
    duration_s: float | None
    headless: bool
    data_dir: Path | None
    report: Path | None
    seed: int | None
    processes: bool = False
    bus: str | None = None
    lockstep: bool = False
    venue: VenuePath | None = None
    """None: the adapter of the settings."""


def parse_speed(text: str) -> float:
    """``max`` as 0, else a positive number.

    Raises:
        StartRefused: neither.
    """
    if text == "max":
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 < speed < float("inf"):
        raise StartRefused(f"--speed {text}: say 1 for the recorded pace, a number like 10 for ten times it, or max")
    return speed


def check(options: DemoOptions, environ: Mapping[str, str]) -> None:
    """Refuse what cannot work before anything is started.

    Raises:
        StartRefused: with what to do about it.
    """
    if options.replay is not None and not options.replay.is_file():
        raise StartRefused(f"--replay {options.replay}: there is no such file")
    if options.replay is not None and (why := why_no_replay(options.replay)):
        raise StartRefused(f"--replay {options.replay}: {why}")
    if options.replay is None and options.speed != 1.0:
        raise StartRefused("--speed is for a replay: name a capture with --replay FILE")
    if options.replay is None and options.lockstep:
        raise StartRefused("--lockstep is for a replay: name a capture with --replay FILE")
    if options.replay is not None and options.venue is VenuePath.ITCH:
        raise StartRefused("--venue itch needs the venue's own flow, a recording has no orders: leave --replay out")
    if options.lockstep and options.venue not in (None, VenuePath.BINANCE):
        raise StartRefused(f"--lockstep counts on the venue's private stream, which --venue {options.venue} has not")
    if options.duration_s is not None and options.duration_s <= 0:
        raise StartRefused(f"--duration {options.duration_s:g}: say how many seconds to run, more than 0")
    if options.report is not None and not options.report.absolute().parent.is_dir():
        raise StartRefused(f"--report {options.report}: its folder does not exist")
    for name in _ADDRESSES:
        if environ.get(name):
            raise StartRefused(
                f"{name} is set, but the demo only ever trades on its own simulated venue: "
                "take the variable away, or use `tradewind up`"
            )


def environment(options: DemoOptions, data_dir: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that the demo adds. What the options ask for wins; the rest are defaults that the user may set.

    Raises:
        StartRefused: a port of the user's is no number, or a setting is wrong.
    """
    return _bus_environment(options, environ) | _venue_environment(options, data_dir, environ)


def _bus_environment(options: DemoOptions, environ: Mapping[str, str]) -> dict[str, str]:
    """Where the planes are, under names of this run's own: a broker keeps what earlier runs have said."""
    given = load_settings(PlatformSettings, environ=environ)
    shared = options.bus or given.bus_url
    if options.processes and not options.bus and not _is_set(BUS_VARIABLE, environ):
        shared = DEFAULT_BROKER_URL
    urls = {BUS_VARIABLE: shared, MARKET_DATA_VARIABLE: given.market_data_url, ORDERS_VARIABLE: given.orders_url}
    if options.bus:
        urls |= {MARKET_DATA_VARIABLE: "", ORDERS_VARIABLE: ""}
    prefix = f"demo-{secrets.token_hex(_PREFIX_BYTES)}."
    found = {name: with_topic_prefix(url, prefix) if url else "" for name, url in urls.items()}
    return found | {name + FILE_SUFFIX: "" for name in found}


def _is_set(name: str, environ: Mapping[str, str]) -> bool:
    return bool(environ.get(name) or environ.get(name + FILE_SUFFIX))


def _venue_environment(options: DemoOptions, data_dir: Path, environ: Mapping[str, str]) -> dict[str, str]:
    venue, api_name = service_prefix("sim-venue"), f"{service_prefix('api')}PORT"
    venue_port = _own_port(f"{venue}PORT", environ) or free_port(_VENUE_PORT)
    asked = {
        f"{PREFIX}DATA_DIR": str(data_dir),
        f"{venue}PORT": str(venue_port),
        _ADDRESSES[0]: f"http://127.0.0.1:{venue_port}",
        _ADDRESSES[1]: f"ws://127.0.0.1:{venue_port}",
    }
    defaults = {f"{PREFIX}LOG_LEVEL": "warning"}
    if not options.headless and not _own_port(api_name, environ):
        asked[api_name] = str(free_port(_API_PORT, but_not=venue_port))
    if options.replay is not None:
        asked |= {
            f"{venue}MODE": "replay",
            f"{venue}CAPTURE": str(options.replay.absolute()),
            f"{venue}SPEED": str(options.speed),
            f"{venue}HOLD": "true",
        }
    else:
        # What a large account pays: at the retail rate the example strategies would show little but fees.
        defaults |= {f"{venue}MAKER_FEE_RATE": "0", f"{venue}TAKER_FEE_RATE": "0.0001"}
    if options.venue is not None:
        asked |= path_environment(options.venue, data_dir, lambda wanted: free_port(wanted, but_not=venue_port))
    if options.lockstep:
        strategies = (name for name in installed_names() if name.startswith(STRATEGY_PREFIX))
        asked[f"{PREFIX}LOCKSTEP"] = ",".join(name.removeprefix(STRATEGY_PREFIX) for name in strategies)
    if options.seed is not None:
        asked[f"{venue}SEED"] = str(options.seed)
    return {name: value for name, value in defaults.items() if not environ.get(name)} | asked


def _own_port(name: str, environ: Mapping[str, str]) -> int:
    """The user's own choice of a port, or 0."""
    text = environ.get(name) or "0"
    if not text.isdecimal():
        raise StartRefused(f"{name}={text!r}: a port is a whole number, such as 8080")
    return int(text)


def free_port(wanted: int, *, but_not: int = 0) -> int:
    """``wanted`` if nobody listens there, else any free port of the loopback."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            if found != but_not:
                return found
    raise StartRefused("no free port was found on 127.0.0.1")
