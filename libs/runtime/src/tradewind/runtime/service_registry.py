"""Finds the services that are installed beside this package, by the entry point group ``tradewind.services``."""

import os
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service import Service
from tradewind.runtime.settings import FILE_SUFFIX, service_prefix

GROUP: Final = "tradewind.services"


class ServiceNotFound(StartRefused):
    """No installed service has this name; the message lists those that there are."""


class BrokenService(StartRefused):
    """An entry point cannot be loaded or is no ``Service``; the message names it."""


def installed_names() -> list[str]:
    """Names of all installed services, sorted, without loading their code."""
    return sorted({point.name for point in _points()})


def load_services(names: list[str] | None = None) -> dict[str, Service]:
    """The named services, or all that are installed, by name and sorted.

    Raises:
        ServiceNotFound: a name that is not installed.
        BrokenService: a service's code cannot be loaded.
    """
    points = {point.name: point for point in _points()}
    for name in names or ():
        if name not in points:
            there_are = ", ".join(sorted(points)) or "none is installed; run make setup"
            raise ServiceNotFound(f"there is no service {name!r}; there are: {there_are}")
    return {name: _load(points[name]) for name in sorted(set(names or points))}


def services_to_run(names: list[str] | None = None) -> dict[str, Service]:
    """The named services, or all that are installed and not off.

    Raises:
        ServiceNotFound: a name that is not installed.
        BrokenService: a service's code cannot be loaded.
    """
    services = load_services(names)
    return services if names else {name: service for name, service in services.items() if _is_on(service)}


def _is_on(service: Service) -> bool:
    variable = service_prefix(service.name) + service.only_with.upper()
    return not service.only_with or any(os.environ.get(name) for name in (variable, variable + FILE_SUFFIX))


def _points() -> list[EntryPoint]:
    return [point for point in entry_points(group=GROUP) if _is_there(point)]


def _is_there(point: EntryPoint) -> bool:
    """Whether its code is: a folder that was installed in place and then removed leaves its entry point behind."""
    text = point.dist.read_text("direct_url.json") if point.dist is not None else None
    if not text:
        return True
    origin = msgspec.json.decode(text)
    is_in_place = origin.get("dir_info", {}).get("editable", False)
    return not is_in_place or Path(unquote(urlsplit(origin["url"]).path)).is_dir()


def _load(point: EntryPoint) -> Service:
    where = f"service {point.name!r} (entry point {point.value}"
    if point.dist is not None:
        where += f" of {point.dist.name}"
    try:
        service = point.load()
    except Exception as error:
        raise BrokenService(f"{where}) cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(service, Service):
        raise BrokenService(f"{where}) is a {type(service).__name__}; it must be a tradewind.runtime.service.Service")
    if service.name != point.name:
        raise BrokenService(f"{where}) calls itself {service.name!r}; the two names must be equal")
    return service
