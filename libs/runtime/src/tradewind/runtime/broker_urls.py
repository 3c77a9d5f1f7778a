"""Which broker carries which plane, from the platform's settings, and how its address may be spoken of."""

import dataclasses
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from tradewind.runtime.settings import PREFIX, PlatformSettings, names_secret

BUS_VARIABLE: Final = f"{PREFIX}BUS_URL"
MARKET_DATA_VARIABLE: Final = f"{PREFIX}MARKET_DATA_URL"
ORDERS_VARIABLE: Final = f"{PREFIX}ORDERS_URL"
DEFAULT_BROKER_URL: Final = "kafka://127.0.0.1:9092"
"""Where processes meet when no setting says otherwise."""
_HIDDEN: Final = "***"
_TOPIC_PREFIX: Final = "prefix"


@dataclasses.dataclass(frozen=True, slots=True)
class BrokerUrl:
    """The address of one plane's broker and the environment variable that it came from."""

    variable: str
    url: str

    @property
    def is_memory(self) -> bool:
        """Whether it is the bus inside one process."""
        return urlsplit(self.url).scheme == "memory"

    def without_password(self, text: str) -> str:
        """``text`` with this address and every secret that it holds taken out."""
        text = text.replace(self.url, f"<{self.variable}>")
        for secret in self._secrets():
            text = text.replace(secret, _HIDDEN)
        return text

    def _secrets(self) -> set[str]:
        try:
            parts = urlsplit(self.url)
        except ValueError:
            return set()
        found = {value for name, value in parse_qsl(parts.query) if names_secret(name)}
        if parts.password:
            found |= {parts.password, unquote(parts.password)}
        return found


def plane_urls(platform: PlatformSettings) -> tuple[BrokerUrl, BrokerUrl]:
    """The brokers of the market-data plane and of the order plane."""
    return (
        _plane(MARKET_DATA_VARIABLE, platform.market_data_url, platform.bus_url),
        _plane(ORDERS_VARIABLE, platform.orders_url, platform.bus_url),
    )


def with_topic_prefix(url: str, prefix: str) -> str:
    """A broker's address under which every topic and group has ``prefix`` before its name.

    An address that has one already, and the memory bus, which nobody shares, stay as they are.
    """
    parts = urlsplit(url)
    options = parse_qsl(parts.query, keep_blank_values=True)
    if parts.scheme == "memory" or any(name == _TOPIC_PREFIX for name, _ in options):
        return url
    return urlunsplit(parts._replace(query=urlencode([*options, (_TOPIC_PREFIX, prefix)])))


def _plane(variable: str, own: str, shared: str) -> BrokerUrl:
    return BrokerUrl(variable, own) if own else BrokerUrl(BUS_VARIABLE, shared)
