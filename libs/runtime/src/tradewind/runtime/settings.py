"""Settings: typed structs filled from environment variables, nothing else.

Every variable begins with ``TRADEWIND_``. A wrong value ends the start with one line that names the variable, what it
held and what it takes. Secrets may be given as ``<NAME>_FILE``, the path of a file that holds the value.
"""

import enum
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from tradewind.runtime.refusals import StartRefused

S = TypeVar("S", bound=msgspec.Struct)

PREFIX = "TRADEWIND_"
FILE_SUFFIX = "_FILE"
SECRET_WORDS = (
    "secret", "password", "passwd", "api_key", "apikey", "signature", "dsn", "token", "signing_key", "cookie",
)  # fmt: skip
SECRET_URLS = ("bus_url", "data_url", "orders_url", "redis_url", "webhook_url", "otlp_url")
"""Addresses that may hold a password. Others, such as a page's, are shown."""

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    Decimal: "a decimal number",
    bool: "true or false",
    str: "a text",
    Path: "a path",
    type(None): "null",
}


class SettingsError(StartRefused, ValueError):
    """A setting is missing or wrong; the message names its environment variable."""


class PlatformSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What all services of one deployment share.

    An empty ``postgres_dsn`` or ``redis_url`` means the embedded server under ``data_dir``. ``bus_url`` is the broker
    of both planes; ``market_data_url`` and ``orders_url`` are for a plane that has its own, empty means ``bus_url``.
    The venue's addresses default to the simulated venue of the same machine; a real exchange needs ``live=yes`` and
    its own keys. ``simulated_venue_hosts`` names, comma-separated, the simulated venue of a container network.
    """

    data_dir: Path = msgspec.field(default_factory=lambda: Path("~/.local/share/tradewind").expanduser())
    postgres_dsn: str = ""
    # wait: `tradewind db migrate` brings the schema of this version, and a start waits for it
    schema: Literal["migrate", "wait"] = "migrate"
    redis_url: str = ""
    bus_url: str = "memory://"
    market_data_url: str = ""
    orders_url: str = ""
    venue: str = "BINANCE"
    venue_adapter: str = "binance"  # who speaks to it; `tradewind venues` lists those that are installed
    account: str = "main"
    symbols: str = "BTCUSDT"
    venue_rest_url: str = "http://127.0.0.1:8081"
    venue_stream_url: str = "ws://127.0.0.1:8081"
    simulated_venue_hosts: str = ""
    venue_egress: str = "default"  # names the public address of this process; the venue counts weight by it
    venue_api_key: str = "demo-key"
    # elsewhere: this process knows where orders go but holds no keys and signs nothing
    venue_keys: Literal["here", "elsewhere"] = "here"
    venue_api_secret: str = "demo-secret"  # noqa: S105 - the simulated venue's published demo secret
    live: Literal["yes", "no"] = "no"
    host: str = "127.0.0.1"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json", "lines"] = "console"
    health_port: int = 0  # of /healthz, /readyz and /metrics for a process without the api service; 0 is off
    # how long the event loop may be blocked before the log says by what; 0 is off
    loop_stall_ms: Annotated[int, msgspec.Meta(ge=0)] = 250
    tracing_otlp_url: str = ""  # where traces of orders go, as http://collector:4318/v1/traces; empty: there are none
    tracing_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0  # of all orders; every process decides alike
    lockstep: str = ""  # comma-separated ids of the strategies that must answer for each step of a replay


def load_settings(struct: type[S], *, prefix: str = PREFIX, environ: Mapping[str, str] | None = None) -> S:
    """An instance of ``struct`` from ``<prefix><FIELD>`` variables.

    Raises:
        SettingsError: a value has the wrong form, a required one is missing, or a secret's file cannot be read.
    """
    variables = os.environ if environ is None else environ
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        name = prefix + field.name.upper()
        value = _value_of(name, variables)
        if value is None:
            if field.required:
                raise SettingsError(f"{name} is not set; it has no default")
            continue
        try:
            found[field.name] = msgspec.convert(value, field.type, strict=False, dec_hook=_decode)
        except msgspec.ValidationError as error:
            # The decoder's own words repeat the value, and so would the cause in a traceback.
            if names_secret(name):
                raise SettingsError(f"{name}=<hidden>: it takes {_takes(field.type)}") from None
            raise SettingsError(f"{name}={value!r}: it takes {_takes(field.type)} ({error})") from error
    try:
        return struct(**found)
    except ValueError as error:
        raise SettingsError(f"the variables {prefix}*: {error}") from error


def names_secret(name: str) -> bool:
    """Whether a variable or log key of this name holds something that must never be shown."""
    lowered = name.lower()
    return any(word in lowered for word in SECRET_WORDS + SECRET_URLS)


def service_prefix(service: str) -> str:
    """The prefix of a service's own variables: ``TRADEWIND_MARKET_DATA_``."""
    return f"{PREFIX}{service.upper().replace('-', '_')}_"


def _value_of(name: str, variables: Mapping[str, str]) -> str | None:
    if path := variables.get(name + FILE_SUFFIX):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{name}{FILE_SUFFIX}={path!r} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SettingsError(f"{name}{FILE_SUFFIX}={path!r} cannot be read: it holds no UTF-8 text") from error
    return variables.get(name)


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value).expanduser()
    raise msgspec.ValidationError(f"cannot read a {kind.__name__}")


def _takes(kind: Any) -> str:
    """What a variable of this type takes, in words."""
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_takes(choice) for choice in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "one of " + ", ".join(str(member.value) for member in kind)
    if hasattr(kind, "__metadata__"):
        return _takes(kind.__origin__)
    return _WORDS.get(kind, f"a {getattr(kind, '__name__', kind)}")
