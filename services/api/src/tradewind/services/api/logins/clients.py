"""The address a request comes from. Behind proxies that are named as trusted it is the one they tell."""

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

from tradewind.runtime.refusals import StartRefused

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
CLIENT: Final = "tradewind.client"
"""Key of the address in a request's scope; ``scope["client"]`` stays the peer of the connection."""
SECURE: Final = "tradewind.secure"
"""Key of whether the browser's connection is TLS, here or at a trusted proxy."""


class Clients:
    """Who is a proxy of ours."""

    def __init__(self, trusted: str) -> None:
        """``trusted``: networks, comma-separated.

        Raises:
            StartRefused: one of them is none.
        """
        try:
            self._trusted = [ipaddress.ip_network(one.strip()) for one in trusted.split(",") if one.strip()]
        except ValueError as error:
            raise StartRefused(f"TRADEWIND_API_TRUSTED_PROXIES takes networks like 10.1.0.0/16: {error}") from error

    def note(self, scope: Any, headers: Mapping[str, list[str]]) -> str:
        """Write the address and whether it is TLS into the scope; returns the address."""
        peer = str((scope.get("client") or ("?", 0))[0])
        address, secure = peer, scope["scheme"] in ("https", "wss")
        if self._is_trusted(peer):
            # The last entry was written by our own proxy; whatever stands before may be the client's invention.
            told = [one.strip() for line in headers.get("x-forwarded-for", []) for one in line.split(",")]
            while told and self._is_trusted(address) and _is_address(told[-1]):
                address = told.pop()
            secure = secure or [one.strip().lower() for one in headers.get("x-forwarded-proto", [])] == ["https"]
        scope[CLIENT], scope[SECURE] = address, secure
        return address

    def _is_trusted(self, address: str) -> bool:
        return _is_address(address) and any(ipaddress.ip_address(address) in network for network in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
