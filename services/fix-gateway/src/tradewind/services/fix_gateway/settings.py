"""Settings of the gateway, and the clients that may log on."""

import ipaddress
import tomllib
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from tradewind.model.identifiers import IdentifierError, StrategyId, strategy_id

_COMP_ID: Final = r"^[!-<>-~]{1,32}$"
_THIS_MACHINE: Final = ("127.0.0.0/8",)


class Client(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One client and its one session.

    ``comp_id`` is what it sends as SenderCompID (49). ``password`` must be in its Logon: Password (554), in FIX 4.2
    RawData (96). ``username``, which is ``comp_id`` when it is empty, is its Username (553) in FIX 4.4. Its orders
    belong to ``strategy``, whose risk limits hold for them, and ``networks`` are the addresses that it may come from.
    More than ``messages_per_s`` are not read until a later second; ``cancel_on_logout`` cancels all its orders when the
    session or the connection ends.
    """

    comp_id: Annotated[str, Meta(pattern=_COMP_ID)]
    password: Annotated[str, Meta(pattern=r"^[ -~]{8,128}$")]
    begin_string: Literal["FIX.4.2", "FIX.4.4"] = "FIX.4.4"
    strategy: str
    username: str = ""
    networks: tuple[str, ...] = _THIS_MACHINE
    messages_per_s: Annotated[int, Meta(ge=1, le=10_000)] = 100
    cancel_on_logout: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError: a strategy or a network has another form."""
        strategy_id(self.strategy)
        for network in self.networks:
            ipaddress.ip_network(network)

    @property
    def strategy_id(self) -> StrategyId:
        """Whose orders these are, for risk and books."""
        return StrategyId(self.strategy)

    @property
    def user(self) -> str:
        """Username (553)."""
        return self.username or self.comp_id

    def may_come_from(self, address: str) -> bool:
        """Whether the client may connect from here."""
        there = ipaddress.ip_address(address)
        return any(there in ipaddress.ip_network(network) for network in self.networks)

    def __repr__(self) -> str:
        """Without the password."""
        return f"Client({self.begin_string} {self.comp_id})"


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``clients_secret`` is TOML, one ``[[client]]`` for each, best given as a file; without clients nothing listens.

    ``host`` is the IPv4 address that clients connect to, ``comp_id`` what they send as TargetCompID (56). A connection
    that has not logged on within ``logon_timeout_s``, sends a message above ``max_message_bytes`` or does not read for
    ``slow_client_s`` is closed.
    """

    clients_secret: str = ""
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 9880
    comp_id: Annotated[str, Meta(pattern=_COMP_ID)] = "TRADEWIND"
    heartbeat_s: Annotated[int, Meta(ge=1, le=600)] = 30
    max_connections: Annotated[int, Meta(ge=1, le=1_000)] = 32
    max_message_bytes: Annotated[int, Meta(ge=512, le=1_048_576)] = 16_384
    logon_timeout_s: Annotated[float, Meta(ge=0.1, le=60)] = 10.0
    slow_client_s: Annotated[float, Meta(ge=0.1, le=60)] = 10.0

    def __post_init__(self) -> None:
        """Raises ValueError: a client cannot be used; no word of a password is in the message."""
        ipaddress.IPv4Address(self.host)
        self.clients()

    @property
    def listens(self) -> bool:
        """Whether there is anybody to listen for."""
        return bool(self.clients())

    def clients(self) -> tuple[Client, ...]:
        """Who may log on.

        Raises:
            ValueError: the text is no such TOML, or two clients are one session or one strategy.
        """
        try:
            text = tomllib.loads(self.clients_secret)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"CLIENTS_SECRET is not TOML: {error}") from None
        if unknown := sorted(set(text) - {"client"}):
            raise ValueError(f"CLIENTS_SECRET has {unknown[0]!r}; it takes [[client]] alone")
        clients = tuple(_client(number, raw) for number, raw in enumerate(text.get("client", []), 1))
        for what, names in (
            ("session", [(one.begin_string, one.comp_id) for one in clients]),
            ("strategy", [one.strategy for one in clients]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"CLIENTS_SECRET: two clients have the same {what}; each needs its own")
        return clients

    def __repr__(self) -> str:
        """Without the clients."""
        return f"GatewaySettings({self.host}:{self.port})"


def _client(number: int, raw: Any) -> Client:
    try:
        return msgspec.convert(raw, Client)
    except (msgspec.ValidationError, IdentifierError, ValueError) as error:
        # What is wrong and where, without the value: it may be the password.
        said = str(error) if "password" not in str(error) else "password: 8 to 128 printable ASCII characters"
        raise ValueError(f"CLIENTS_SECRET: client {number}: {said}") from None
