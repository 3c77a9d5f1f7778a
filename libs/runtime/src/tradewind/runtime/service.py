"""What a service is to the process that runs it.

A service package has one module ``service`` with one value ``SERVICE``, found through the entry point group
``tradewind.services``. ``run`` works until it is cancelled; on cancellation it may finish what it owes (cancel orders,
flush a buffer) within ``stop_budget_s``, then lets the CancelledError go on. If it raises ``StartRefused`` the whole
process ends with that message; if it raises anything else it is started again with back-off; if it returns it has
ended.
"""

import dataclasses
import enum
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from tradewind.bus.interface import Bus
    from tradewind.runtime.health import Health
    from tradewind.runtime.metrics import Metrics
    from tradewind.runtime.settings import PlatformSettings
    from tradewind.store.database import Database
    from tradewind.store.last_values import LastValues
    from tradewind.wire.topics import Topic


class ServiceKind(enum.IntEnum):
    """The part a service plays; services stop in this order, so that nobody loses what another still says."""

    STRATEGY = 1
    EDGE = 2  # api, page
    FEED = 3
    ORDER_PATH = 4  # execution, risk
    BOOKS = 5  # portfolio, recorder
    VENUE = 6  # the simulated exchange


@dataclasses.dataclass(slots=True)
class ServiceContext:
    """All that a running service is given. Buses are connected; stores may be away at any time and come back."""

    name: str
    platform: "PlatformSettings"
    settings: Any  # an instance of Service.settings
    market_bus: "Bus"
    order_bus: "Bus"
    database: "Database"
    last_values: "LastValues"
    health: "Health"
    metrics: "Metrics"
    log: "FilteringBoundLogger"

    def bus_for(self, topic: "Topic") -> "Bus":
        """The bus of the topic's plane."""
        from tradewind.wire.topics import Plane

        return self.market_bus if topic.plane is Plane.MARKET_DATA else self.order_bus


class NoSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For a service that has no settings of its own."""


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """One service folder's code. ``settings`` is a msgspec struct; each field comes from the environment variable
    ``TRADEWIND_<SERVICE>_<FIELD>`` (dashes as underscores) or keeps its default. ``only_with`` names such a field: as
    long as it is not set, the service is left out where all are run."""

    name: str
    kind: ServiceKind
    run: Callable[[ServiceContext], Awaitable[None]]
    settings: type[msgspec.Struct] = NoSettings
    stop_budget_s: float = 3.0
    only_with: str = ""
