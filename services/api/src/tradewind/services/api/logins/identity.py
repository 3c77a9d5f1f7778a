"""Who asks, and what that person may do."""

import enum
from typing import Final

import msgspec


class Permission(enum.StrEnum):
    """One kind of doing. Every route names one."""

    READ = "read"
    TRADE = "trade"
    CANCEL = "cancel"
    STRATEGIES = "strategies"
    RISK = "risk"
    AUDIT = "audit"
    ADMIN = "admin"


class Role(enum.StrEnum):
    """What a person is here for."""

    VIEWER = "viewer"
    TRADER = "trader"
    RISK = "risk"
    ADMIN = "admin"


PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.TRADER: frozenset({Permission.READ, Permission.TRADE, Permission.CANCEL, Permission.STRATEGIES}),
    Role.RISK: frozenset(
        {Permission.READ, Permission.CANCEL, Permission.STRATEGIES, Permission.RISK, Permission.AUDIT}
    ),
    Role.ADMIN: frozenset(Permission),
}


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A person at this moment. One of ``session_id`` and ``token_id`` is empty.

    ``until_ns`` is when the login itself is over: a stream that it opened ends then.
    """

    name: str
    role: Role
    client: str
    session_id: str = ""
    token_id: str = ""
    access_until_ns: int = 0
    until_ns: int = 2**63 - 1

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the role may do."""
        return PERMISSIONS[self.role]
