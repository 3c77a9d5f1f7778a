"""Settings of the alerts service. Each is ``TRADEWIND_ALERTS_<FIELD>``; secrets also as ``…_FILE``."""

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

import msgspec

Level = Literal["info", "warning", "critical"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to tell, how often, and from when on something is worth telling. Fields that end in ``_s`` are seconds.

    A channel is on when it has an address: ``webhook_url`` (with ``webhook_secret`` for the signature), or
    ``smtp_host`` with ``email_from`` and ``email_to`` (comma-separated). ``ca_file`` is a PEM file of authorities to
    trust beside the machine's own. Nothing less severe than a channel's ``…_min_severity`` is sent there.

    What opens within ``group_s`` is one message; what stays OPEN is told again after ``repeat_s``; an attempt takes at
    most ``send_timeout_s``, the next waits ``retry_first_s``, doubled up to ``retry_longest_s``, until ``give_up_s``.
    An alert that opens ``flap_openings`` times within ``flap_window_s`` is told of once, then not until it has held
    still for ``flap_quiet_s``.
    """

    webhook_url: str = ""
    webhook_secret: str = ""
    webhook_min_severity: Level = "warning"
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password: str = ""
    email_from: str = ""
    email_to: str = ""
    email_min_severity: Level = "warning"
    ca_file: str = ""
    page_url: str = ""

    group_s: float = 5.0
    repeat_s: float = 14_400.0
    send_timeout_s: float = 10.0
    retry_first_s: float = 2.0
    retry_longest_s: float = 300.0
    give_up_s: float = 3_600.0
    flap_openings: int = 4
    flap_window_s: float = 3_600.0
    flap_quiet_s: float = 900.0

    evaluate_every_s: float = 2.0
    measure_every_s: float = 10.0
    """Lag and dead letters are asked for this often; it costs the broker some requests per topic."""
    clear_s: float = 10.0
    """A condition must be gone for so long before its alert is resolved."""
    unknown_order_s: float = 30.0
    kill_not_flat_s: float = 60.0
    service_away_s: float = 30.0
    service_not_ready_s: float = 60.0
    forget_service_s: float = 86_400.0
    """A service that has not been there for so long is not missed any more."""
    restarts: int = 3
    restart_window_s: float = 600.0
    lease_changes: int = 3
    lease_window_s: float = 3_600.0
    feed_s: float = 30.0
    lag_messages: int = 1_000
    lag_s: float = 60.0
    loop_lag_ms: float = 1_000.0
    loop_lag_s: float = 30.0
    limit_share: float = 0.8
    """Part of a limit, 0 to 1, from which on it is near."""
    limit_s: float = 5.0
    """A limit must be near its bound for so long: some are used up and free again within a second."""
    put_aside_window_s: float = 300.0
    store_away_s: float = 15.0
    channel_s: float = 30.0
    """A channel must fail for so long before that is an alert."""

    def __post_init__(self) -> None:
        """Refuse what cannot work. Raises ValueError in words that name no secret."""
        positive = ("evaluate_every_s", "measure_every_s", "send_timeout_s", "retry_first_s", "give_up_s", "repeat_s")
        for name in (*positive, *_WAITS):
            if getattr(self, name) < 0 or (name in positive and not getattr(self, name)):
                raise ValueError(f"{name} must be {'above' if name in positive else 'at least'} 0")
        if min(self.flap_openings, self.restarts, self.lease_changes, self.lag_messages) < 1:
            raise ValueError("flap_openings, restarts, lease_changes and lag_messages must be at least 1")
        if not 0 < self.limit_share <= 1:
            raise ValueError("limit_share is a part of a limit: above 0, at most 1")
        self._check_webhook()
        self._check_email()

    def _check_webhook(self) -> None:
        if not self.webhook_url:
            return
        parts = urlsplit(self.webhook_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("webhook_url must be an address that begins with https:// (or http:// on this machine)")
        if parts.scheme == "http" and not is_this_machine(parts.hostname):
            raise ValueError("webhook_url must begin with https://: over http anybody on the way reads it")

    def _check_email(self) -> None:
        if not self.smtp_host:
            return
        if not self.email_from or not self.receivers:
            raise ValueError("smtp_host needs email_from and email_to beside it")
        if any("@" not in one or not one.isprintable() for one in (self.email_from, *self.receivers)):
            raise ValueError("email_from and email_to take addresses like desk@example.com")
        if self.smtp_security == "none" and (self.smtp_password or not is_this_machine(self.smtp_host)):
            raise ValueError("smtp_security none is only for a mail server on this machine, without a password")

    @property
    def receivers(self) -> tuple[str, ...]:
        """The addresses of ``email_to``."""
        return tuple(one.strip() for one in self.email_to.split(",") if one.strip())


_WAITS = (
    "group_s",
    "retry_longest_s",
    "flap_window_s",
    "flap_quiet_s",
    "clear_s",
    "unknown_order_s",
    "kill_not_flat_s",
    "service_away_s",
    "service_not_ready_s",
    "feed_s",
    "lag_s",
    "loop_lag_s",
    "store_away_s",
    "limit_s",
    "channel_s",
)


def is_this_machine(host: str) -> bool:
    """Whether a host is loopback by its name or its number."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
