"""What a service folder says about itself: ``service.toml``."""

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tradewind.runtime.kubernetes.positions import ManifestError
from tradewind.runtime.kubernetes.profiles import Bytes, Cpu

TEMPLATE: Final = "k8s.yaml.j2"

Need = Literal["market-data-bus", "orders-bus", "postgres", "redis", "venue", "api"]


class Resources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one container is given. Memory is both what is reserved and the limit."""

    cpu: Cpu
    memory: Bytes


class Variable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One setting of a service."""

    default: str
    about: str


class ServiceFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``service.toml``. ``port`` is what others use, 0 if none; ``needs`` is all that its process connects to."""

    name: str
    kind: Literal["strategy", "edge", "feed", "order-path", "books", "venue", "page"]
    port: Annotated[int, Meta(ge=0, le=65_535)]
    needs: tuple[Need, ...]
    resources: Resources
    env: dict[str, Variable] = {}


def service_names(root: Path) -> list[str]:
    """Names of all service folders of a repository that are deployed, sorted."""
    return sorted(path.parent.name for path in (root / "services").glob(f"*/{TEMPLATE}"))


def read_service(root: Path, name: str) -> ServiceFile:
    """What a service folder says.

    Raises:
        ManifestError: the file is missing or wrong.
    """
    shown_as = f"services/{name}/service.toml"
    try:
        found = msgspec.toml.decode((root / shown_as).read_bytes(), type=ServiceFile)
    except FileNotFoundError as error:
        raise ManifestError(f"{shown_as} is missing") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{shown_as}: {error}") from error
    if found.name != name:
        raise ManifestError(f"{shown_as}: name is {found.name!r}; it must be the folder's, {name!r}")
    return found
