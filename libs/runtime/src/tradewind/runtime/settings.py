"""Settings: typed structs filled from environment variables, nothing else.

Every variable begins with ``TRADEWIND_``. A wrong value ends the start with one line that names the variable, what it
held and what it takes. Secrets may be given as ``<NAME>_FILE``, the path of a file that holds the value.
"""

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)

PREFIX = "TRADEWIND_"
SECRET_WORDS = ("secret", "password", "passwd", "api_key", "apikey", "signature", "dsn")


class SettingsError(ValueError):
    """A setting is missing or wrong; the message names its environment variable."""


class PlatformSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What all services of one deployment share.

    An empty ``postgres_dsn`` or ``redis_url`` means the embedded server under ``data_dir``. The venue's addresses
    default to the simulated venue of the same machine; a real exchange needs ``live=yes`` and its own keys.
    """

    data_dir: Path = msgspec.field(default_factory=lambda: Path("~/.local/share/tradewind").expanduser())
    postgres_dsn: str = ""
    redis_url: str = ""
    market_data_url: str = "memory://"
    orders_url: str = "memory://"
    venue: str = "BINANCE"
    account: str = "main"
    symbols: str = "BTCUSDT"
    venue_rest_url: str = "http://127.0.0.1:8081"
    venue_stream_url: str = "ws://127.0.0.1:8081"
    venue_api_key: str = "demo-key"
    venue_api_secret: str = "demo-secret"  # noqa: S105 - the simulated venue's published demo secret
    live: str = "no"
    host: str = "127.0.0.1"
    log_level: str = "info"
    log_format: str = "console"


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
            shown = "<hidden>" if names_secret(name) else repr(value)
            raise SettingsError(f"{name}={shown}: {error}") from error
    return struct(**found)


def names_secret(name: str) -> bool:
    """Whether a variable or log key of this name holds something that must never be shown."""
    lowered = name.lower()
    return any(word in lowered for word in SECRET_WORDS)


def service_prefix(service: str) -> str:
    """The prefix of a service's own variables: ``TRADEWIND_MARKET_DATA_``."""
    return f"{PREFIX}{service.upper().replace('-', '_')}_"


def _value_of(name: str, variables: Mapping[str, str]) -> str | None:
    if path := variables.get(f"{name}_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{name}_FILE={path!r} cannot be read: {error.strerror}") from error
    return variables.get(name)


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value).expanduser()
    if kind is Decimal:
        return Decimal(value)
    raise msgspec.ValidationError(f"cannot read a {kind.__name__}")
