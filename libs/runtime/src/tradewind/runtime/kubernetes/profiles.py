"""What a profile may say. ``k8s/profiles/<environment>_<name>.yaml`` is one deployment of the platform.

Secrets are only ever named here: who deploys makes them in the namespace (``make k8s-secrets``). What stands here by
default is the safe choice: the simulated venue, no replicas, no page to the outside.
"""

import dataclasses
import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from tradewind.runtime.kubernetes.positions import Lines, ManifestError, read_struct

ENVIRONMENTS: Final = ("dev", "staging", "prod")
_FILE_NAME: Final = re.compile(r"(dev|staging|prod)_([a-z][a-z0-9]{0,20})")

DnsName = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
Cpu = Annotated[str, Meta(pattern=r"^([1-9][0-9]*m|[1-9][0-9]?)$")]
Bytes = Annotated[str, Meta(pattern=r"^[1-9][0-9]*(Mi|Gi|Ti)$")]
Network = Annotated[str, Meta(pattern=r"^[0-9a-f.:]+/[0-9]{1,3}$")]
Port = Annotated[int, Meta(ge=1, le=65_535)]
Tag = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
Image = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9./_:-]*:(?!latest$)[A-Za-z0-9_][A-Za-z0-9_.-]*$")]


class InCluster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A store or broker that is started inside the namespace, one copy, for development.

    ``run_as`` is the number of the image's own user; ``image`` is pinned.
    """

    image: Image
    run_as: Annotated[int, Meta(ge=1)]
    storage: Bytes
    cpu: Cpu = "250m"
    memory: Bytes = "1Gi"


class External(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A store or broker that somebody else runs. Its name inside the namespace leads to ``host``.

    ``networks`` are the addresses that pods may reach it at: a NetworkPolicy knows no names.
    """

    host: DnsName
    port: Port
    networks: Annotated[tuple[Network, ...], Meta(min_length=1)]


class Backend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A store: either ``in_cluster`` or ``external``. ``secret`` names the Secret that holds its address (key ``url``)
    or, in the cluster, its password too (key ``password``)."""

    secret: DnsName = ""
    in_cluster: InCluster | None = None
    external: External | None = None

    def __post_init__(self) -> None:
        if (self.in_cluster is None) == (self.external is None):
            raise ValueError("say where it is: either in_cluster or external")


class Broker(Backend, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The message bus of both planes."""

    kind: Literal["kafka", "rabbitmq"]


class RealVenue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A real exchange. ``key_secret`` names the Secret with ``venue_api_key`` and ``venue_api_secret``."""

    rest_url: Annotated[str, Meta(pattern=r"^https://[^/]+$")]
    stream_url: Annotated[str, Meta(pattern=r"^wss://[^/]+$")]
    key_secret: DnsName
    ports: Annotated[tuple[Port, ...], Meta(min_length=1)] = (443,)


class VenueChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where orders go, and the only instruments that are taken in and traded. Without ``real``: the simulated venue."""

    name: Annotated[str, Meta(pattern=r"^[A-Z0-9_]{1,32}$")] = "BINANCE"
    account: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "main"
    instruments: Annotated[tuple[Annotated[str, Meta(pattern=r"^[A-Z0-9]{3,32}$")], ...], Meta(min_length=1)]
    real: RealVenue | None = None


class Ingress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page for people outside the cluster, who log in at it. ``authentication`` are annotations by which the
    ingress controller asks for a login of its own before that."""

    host: DnsName
    class_name: DnsName
    tls_secret: DnsName
    controller_namespace: DnsName
    authentication: dict[str, str] = {}


class Notifications(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the service ``alerts`` needs to tell people: the keys that its Secret has, and where it may connect to.

    Without ``networks`` that is the whole internet on these ports, and nothing that is private.
    """

    secret: DnsName
    keys: Annotated[tuple[Literal["webhook_url", "webhook_secret", "smtp_password"], ...], Meta(min_length=1)]
    ports: Annotated[tuple[Port, ...], Meta(min_length=1)] = (443, 587)
    networks: tuple[Network, ...] = ()


class Logins(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Secret of the service ``api``: the key that its copies sign logins with, and tokens of operators' scripts.

    Without the key each copy knows its own logins alone, so several copies need it.
    """

    secret: DnsName
    keys: Annotated[tuple[Literal["signing_key", "operator_tokens"], ...], Meta(min_length=1)]


class Traces(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where spans of orders go by OTLP over HTTP, and of which part of all orders. Pods may reach the collector's port
    at ``networks``, or without them in ``monitoring_namespace``."""

    url: Annotated[str, Meta(pattern=r"^https?://[a-z0-9][-a-z0-9.]*:[1-9][0-9]{0,4}/[^@]*$")]
    ratio: Annotated[float, Meta(ge=0, le=1)] = 1.0
    networks: tuple[Network, ...] = ()

    @property
    def port(self) -> int:
        """The collector's."""
        return urlsplit(self.url).port or 0


class ServiceChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is different for one service here. ``version`` runs another version of it alone; ``off`` leaves it out."""

    off: bool = False
    version: Tag = ""
    replicas: Annotated[int, Meta(ge=1, le=50)] = 0
    max_replicas: Annotated[int, Meta(ge=2, le=50)] = 0
    cpu: Cpu = ""
    memory: Bytes = ""
    storage: Bytes = ""
    env: dict[str, str] = {}

    def __post_init__(self) -> None:
        if self.max_replicas and self.max_replicas <= max(self.replicas, 1):
            raise ValueError("max_replicas must be above replicas")


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One deployment. ``registry`` ends in a slash, or is empty for the node's own images."""

    registry: Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9.:/_-]*/)?$")] = ""
    pull_secret: DnsName = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    storage_class: DnsName = ""
    monitoring_namespace: DnsName = ""
    venue: VenueChoice
    broker: Broker
    postgres: Backend
    redis: Backend
    ingress: Ingress | None = None
    notifications: Notifications | None = None
    logins: Logins | None = None
    traces: Traces | None = None
    services: dict[str, ServiceChoice] = {}


@dataclasses.dataclass(frozen=True, slots=True)
class NamedProfile:
    """A profile, what its file's name says, and where each of its keys stands."""

    environment: str
    name: str
    says: Profile
    lines: Lines

    @property
    def full_name(self) -> str:
        """As on the command line: ``prod_main``."""
        return f"{self.environment}_{self.name}"

    @property
    def namespace(self) -> str:
        """The Kubernetes namespace, which only this profile uses."""
        return f"tradewind-{self.environment}-{self.name}"


def profile_names(root: Path) -> list[str]:
    """Names of all profiles of a repository, sorted."""
    return sorted(path.stem for path in (root / "k8s" / "profiles").glob("*.yaml"))


def load_profile(root: Path, full_name: str) -> NamedProfile:
    """A profile of a repository.

    Raises:
        ManifestError: there is none of this name, or its file is wrong; then with file and line.
    """
    path = root / "k8s" / "profiles" / f"{full_name}.yaml"
    if full_name not in (names := profile_names(root)):
        raise ManifestError(f"there is no profile {full_name!r}; there are: {', '.join(names) or 'none'}")
    shown_as = f"k8s/profiles/{path.name}"
    named = _FILE_NAME.fullmatch(full_name)
    if named is None:
        raise ManifestError(
            f"{shown_as}:1: a profile's file is named <environment>_<name>.yaml: the environment one of "
            f"{', '.join(ENVIRONMENTS)}, the name small letters and digits"
        )
    says, lines = read_struct(path, shown_as, Profile)
    profile = NamedProfile(named[1], named[2], says, lines)
    _check(profile)
    return profile


def _check(profile: NamedProfile) -> None:
    says, lines = profile.says, profile.lines
    backends = {"broker": says.broker, "postgres": says.postgres, "redis": says.redis}
    for key, backend in backends.items():
        if backend.in_cluster is not None and profile.environment != "dev":
            raise lines.error(
                (key, "in_cluster"), f"{key}: one copy inside the cluster is for dev profiles; name an external one"
            )
        if not backend.secret and key != "redis":
            raise lines.error((key,), f"{key} lacks secret: its address holds a password")
    if says.venue.real is not None and profile.environment == "dev":
        raise lines.error(("venue", "real"), "a dev profile never reaches a real exchange")
    if says.traces is not None and not (says.traces.networks or says.monitoring_namespace):
        raise lines.error(("traces",), "traces: say in which networks the collector is, or monitoring_namespace")
