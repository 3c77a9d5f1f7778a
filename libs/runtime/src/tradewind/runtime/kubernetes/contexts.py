"""What the templates are given: the platform's settings of a profile, each service with what the profile changes."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tradewind.runtime.kubernetes.positions import ManifestError
from tradewind.runtime.kubernetes.profiles import NamedProfile, Profile, ServiceChoice
from tradewind.runtime.kubernetes.service_folders import ServiceFile

BROKER_PORTS: Final = {"kafka": 9092, "rabbitmq": 5672}
SIM_VENUE: Final = "sim-venue"
SIM_VENUE_PORT: Final = 8081
SECRETS: Final = "/run/secrets/tradewind"
"""Where each pod finds its secrets, one file each."""
_NAME_HASH_LENGTH: Final = 10
_CPU: Final = re.compile(r"(\d+)(m?)")
_LEAST_CPU_LIMIT_MILLI: Final = 1_000  # a start of Python within seconds takes a whole core


def platform_settings(profile: NamedProfile) -> dict[str, str]:
    """The environment of all services of a profile. What holds a password is the name of a file."""
    says = profile.says
    settings = {
        "TRADEWIND_HOST": "0.0.0.0",  # noqa: S104 - inside a pod, behind its network policy
        "TRADEWIND_HEALTH_PORT": "9100",
        "TRADEWIND_LOG_FORMAT": "json",
        "TRADEWIND_LOG_LEVEL": says.log_level,
        "TRADEWIND_DATA_DIR": "/data",
        "TRADEWIND_SCHEMA": "wait",
        "TRADEWIND_BUS_URL_FILE": f"{SECRETS}/bus_url",
        "TRADEWIND_POSTGRES_DSN_FILE": f"{SECRETS}/postgres_dsn",
        "TRADEWIND_VENUE": says.venue.name,
        "TRADEWIND_ACCOUNT": says.venue.account,
        "TRADEWIND_SYMBOLS": ",".join(says.venue.instruments),
    }
    if says.redis.secret:
        settings["TRADEWIND_REDIS_URL_FILE"] = f"{SECRETS}/redis_url"
    else:
        settings["TRADEWIND_REDIS_URL"] = "redis://redis:6379/0"
    if says.traces is not None:
        settings["TRADEWIND_TRACING_OTLP_URL"] = says.traces.url
        settings["TRADEWIND_TRACING_RATIO"] = str(says.traces.ratio)
    return settings | _venue_settings(says)


def _venue_settings(says: Profile) -> dict[str, str]:
    if (real := says.venue.real) is not None:
        return {
            "TRADEWIND_LIVE": "yes",
            "TRADEWIND_VENUE_REST_URL": real.rest_url,
            "TRADEWIND_VENUE_STREAM_URL": real.stream_url,
            "TRADEWIND_VENUE_KEYS": "elsewhere",
        }
    return {
        "TRADEWIND_VENUE_REST_URL": f"http://{SIM_VENUE}:{SIM_VENUE_PORT}",
        "TRADEWIND_VENUE_STREAM_URL": f"ws://{SIM_VENUE}:{SIM_VENUE_PORT}",
        "TRADEWIND_SIMULATED_VENUE_HOSTS": SIM_VENUE,
    }


def hashed_name(name: str, content: Any) -> str:
    """A name that is another one whenever the content is."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return f"{name}-{digest[:_NAME_HASH_LENGTH]}"


def cpu_limit(cpu: str) -> str:
    """Twice what is asked for, and never so little that a start takes long.

    Raises:
        ManifestError: it is no amount of CPU.
    """
    found = _CPU.fullmatch(cpu)
    if found is None:
        raise ManifestError(f"{cpu!r} is no amount of CPU; it takes a number of cores, or of thousandths like 250m")
    milli = int(found[1]) * (1 if found[2] else 1_000)
    limit = max(2 * milli, _LEAST_CPU_LIMIT_MILLI)
    # In the form that Kubernetes keeps it in; another one would look like a change at each apply.
    return f"{limit}m" if limit % 1_000 else str(limit // 1_000)


@dataclasses.dataclass(frozen=True, slots=True)
class Images:
    """Where the images of one profile come from."""

    registry: str
    version: str

    def reference(self, name: str, version: str = "") -> str:
        """One of our images."""
        return f"{self.registry}tradewind/{name}:{version or self.version}"


@dataclasses.dataclass(frozen=True, slots=True)
class ServiceContext:
    """One service, as its template sees it."""

    file: ServiceFile
    choice: ServiceChoice
    profile: NamedProfile
    images: Images

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def kind(self) -> str:
        return self.file.kind

    @property
    def port(self) -> int:
        return self.file.port

    @property
    def needs(self) -> tuple[str, ...]:
        return self.file.needs

    @property
    def is_wanted(self) -> bool:
        """Whether the profile runs it: on a real exchange a strategy runs only if it is named; a new folder is not."""
        unnamed = self.name not in self.profile.says.services
        unasked = self.kind == "strategy" and self.profile.says.venue.real is not None and unnamed
        return not self.choice.off and not unasked

    @property
    def version(self) -> str:
        """The version of its image."""
        return self.choice.version or self.images.version

    @property
    def image(self) -> str:
        """The reference of its image."""
        return self.images.reference(self.name, self.version)

    @property
    def cpu(self) -> str:
        return self.choice.cpu or self.file.resources.cpu

    @property
    def memory(self) -> str:
        return self.choice.memory or self.file.resources.memory

    @property
    def template(self) -> str:
        """The template, from the root of the repository."""
        return f"services/{self.name}/k8s.yaml.j2"

    def settings(self, own: Mapping[str, str] | None = None) -> dict[str, str]:
        """Its own environment: what the template says, over it what the profile says.

        Raises:
            ManifestError: a variable that ``service.toml`` does not list.
        """
        for name in own or {}:
            if name not in self.file.env:
                raise ManifestError(f"{self.template}:1: services/{self.name}/service.toml lists no variable {name}")
        for name in self.choice.env:
            if name not in self.file.env:
                raise self.profile.lines.error(
                    ("services", self.name, "env", name),
                    f"services/{self.name}/service.toml lists no variable {name}",
                )
        return {**(own or {}), **self.choice.env}

    def refuse_replicas(self) -> str:
        """For what only one may run of.

        Raises:
            ManifestError: the profile asks for more.
        """
        for key in ("replicas", "max_replicas"):
            if getattr(self.choice, key) not in (0, 1):
                raise self.profile.lines.error(
                    ("services", self.name, key), f"{self.name} writes alone: only one of it may run"
                )
        return ""


def service_context(file: ServiceFile, profile: NamedProfile, images: Images) -> ServiceContext:
    """One service of a profile."""
    return ServiceContext(file, profile.says.services.get(file.name, ServiceChoice()), profile, images)


def platform_names(profile: NamedProfile, images: Images) -> dict[str, Any]:
    """What every template is given."""
    settings = platform_settings(profile)
    real = profile.says.venue.real
    return {
        "profile": profile.says,
        "namespace": profile.namespace,
        "platform_settings": settings,
        "platform_config": hashed_name("platform", settings),
        "migration_name": hashed_name(
            "migrate", [images.reference("runtime"), msgspec.to_builtins(profile.says.postgres)]
        ),
        "broker_port": BROKER_PORTS[profile.says.broker.kind],
        "key_secret": real.key_secret if real is not None else "",
        "image": images.reference,
        "cpu_limit": cpu_limit,
        "config_name": hashed_name,
    }
