"""Settings of the api service, from ``TRADEWIND_API_*``."""

import msgspec

from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.venue_target import is_loopback


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the server listens and how much it gives to one client.

    ``allowed_hosts`` adds names (comma-separated) to the loopback names that a browser may use in its Host header.
    """

    port: int = 8080
    allow_remote: str = "no"
    allowed_hosts: str = ""
    stream_interval_ms: int = 125
    heartbeat_s: float = 1.0
    slow_client_s: float = 5.0
    max_stream_clients: int = 100
    max_client_messages_per_s: int = 20
    max_body_bytes: int = 65_536
    orders_kept: int = 2_000
    fills_kept: int = 1_000
    trades_kept: int = 200
    chart_points: int = 1_200
    chart_interval_ms: int = 500
    ingest_interval_ms: int = 40
    publish_timeout_s: float = 2.0
    query_timeout_s: float = 5.0
    concurrent_queries: int = 2


def check_binding(host: str, settings: ApiSettings) -> None:
    """Refuse to open the page to a network by accident: it has no users and passwords yet.

    Raises:
        StartRefused: the host is not loopback and nobody said that this is meant.
    """
    if not is_loopback(host) and settings.allow_remote != "yes":
        raise StartRefused(
            f"TRADEWIND_HOST={host!r} would let anyone who reaches this machine trade, for the page has no passwords: "
            "set it to 127.0.0.1, or set TRADEWIND_API_ALLOW_REMOTE=yes behind a proxy that asks for one"
        )


def allowed_hosts(host: str, settings: ApiSettings) -> frozenset[str]:
    """The host names, lower case and without port, that a request may be addressed to."""
    named = {name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()}
    return frozenset({"127.0.0.1", "localhost", "::1", host.lower()} | named)
