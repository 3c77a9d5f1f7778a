"""Finds a taken port before anything is started: one line for the user instead of a service in a restart loop."""

import socket
from collections.abc import Mapping
from typing import Any

from tradewind.runtime.refusals import PortTaken, StartRefused, is_address_in_use
from tradewind.runtime.settings import service_prefix


def check_ports(settings: Mapping[str, Any], host: str) -> None:
    """Check that each service whose settings have a ``port`` (0 means any) can listen there.

    One whose settings say ``listens = False`` is off, and its port may be taken.

    Raises:
        PortTaken: another program listens there.
        StartRefused: two services want the same port, or the host is not one of this machine.
    """
    wanted: dict[int, str] = {}
    for name, own in settings.items():
        port = getattr(own, "port", 0)
        if not port or not getattr(own, "listens", True):
            continue
        variable = f"{service_prefix(name)}PORT"
        if port in wanted:
            raise StartRefused(f"services {wanted[port]} and {name} both want port {port}; set {variable}")
        wanted[port] = name
        _check_port(host, port, variable)


def _check_port(host: str, port: int, variable: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do: a port that only old connections still hold is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if is_address_in_use(error):
                raise PortTaken(port, variable) from error
            raise StartRefused(f"{variable}={port}: cannot listen on {host}: {error.strerror}") from error
        except OverflowError as error:
            raise StartRefused(f"{variable}={port}: a port is a number from 0 to 65535") from error
