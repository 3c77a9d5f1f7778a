"""Settings of the api service, from ``TRADEWIND_API_*``."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.venue_target import is_loopback


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the server listens and how much it gives to one client.

    ``allowed_hosts`` adds names (comma-separated) to the loopback names that a browser may use in its Host header.
    ``allow_remote`` says that something before it speaks TLS; ``trusted_proxies`` (networks) may tell a client's
    address. ``page_url`` is the address that links name; empty: this server's own. An empty ``signing_key``: one of
    this process. ``operator_tokens``: see ``operator_tokens.py``.
    """

    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    allow_remote: Literal["yes", "no"] = "no"
    allowed_hosts: str = ""
    page_url: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    trusted_proxies: str = ""
    signing_key: str = ""
    operator_tokens: str = ""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    oidc_name: str = "single sign-on"
    oidc_scope: str = "openid profile"
    oidc_name_claim: str = "preferred_username"
    oidc_role_claim: str = "role"
    oidc_roles: str = ""
    access_minutes: Annotated[float, Meta(ge=0.01, le=30.0)] = 10.0
    session_hours: Annotated[float, Meta(ge=0.01, le=720.0)] = 12.0
    link_hours: Annotated[float, Meta(ge=0.01, le=168.0)] = 24.0
    requests_per_s: Annotated[float, Meta(ge=1.0, le=100_000.0)] = 200.0
    requests_per_s_of_one: Annotated[float, Meta(ge=1.0, le=100_000.0)] = 100.0
    stream_interval_ms: Annotated[int, Meta(ge=10, le=10_000)] = 40
    heartbeat_s: Annotated[float, Meta(ge=0.1, le=2.0)] = 1.0
    slow_client_s: Annotated[float, Meta(ge=0.1, le=60.0)] = 5.0
    max_stream_clients: Annotated[int, Meta(ge=1, le=10_000)] = 100
    max_client_messages_per_s: Annotated[int, Meta(ge=1, le=1_000)] = 20
    max_body_bytes: Annotated[int, Meta(ge=1_024, le=1_000_000)] = 65_536
    orders_kept: Annotated[int, Meta(ge=10, le=100_000)] = 2_000
    fills_kept: Annotated[int, Meta(ge=10, le=100_000)] = 3_000
    trades_kept: Annotated[int, Meta(ge=10, le=10_000)] = 200
    chart_points: Annotated[int, Meta(ge=10, le=20_000)] = 1_200
    chart_interval_ms: Annotated[int, Meta(ge=10, le=60_000)] = 500
    ingest_interval_ms: Annotated[int, Meta(ge=1, le=1_000)] = 20
    replace_timeout_s: Annotated[float, Meta(ge=0.1, le=300.0)] = 30.0
    replace_settle_s: Annotated[float, Meta(ge=0.0, le=10.0)] = 0.2
    publish_timeout_s: Annotated[float, Meta(ge=0.1, le=30.0)] = 2.0
    query_timeout_s: Annotated[float, Meta(ge=0.1, le=30.0)] = 5.0
    concurrent_queries: Annotated[int, Meta(ge=1, le=8)] = 2


def check_binding(host: str, settings: ApiSettings) -> None:
    """Refuse to send passwords over a network in clear.

    Raises:
        StartRefused: the host is not loopback, there is no TLS here, and nobody said that a proxy does it.
    """
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise StartRefused("TRADEWIND_API_TLS_CERTIFICATE and TRADEWIND_API_TLS_KEY go together; set both or none")
    if not is_loopback(host) and not settings.tls_certificate and settings.allow_remote != "yes":
        raise StartRefused(
            f"TRADEWIND_HOST={host!r} would send passwords over the network in clear: set it to 127.0.0.1, set "
            "TRADEWIND_API_TLS_CERTIFICATE and TRADEWIND_API_TLS_KEY, or set TRADEWIND_API_ALLOW_REMOTE=yes behind a "
            "proxy that does TLS"
        )


def allowed_hosts(host: str, settings: ApiSettings) -> frozenset[str]:
    """The host names, lower case and without port, that a request may be addressed to."""
    named = {name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()}
    return frozenset({"127.0.0.1", "localhost", "::1", host.lower()} | named)
