"""Topics: name, plane, key. The table of docs/protocols is made from here."""

import dataclasses
import enum
from typing import Final

from tradewind.model.identifiers import Venue

DAY_S: Final = 86_400


class Plane(enum.StrEnum):
    """The two planes promise different things, and each has its own broker URL."""

    MARKET_DATA = "market-data"  # ordered per instrument; a slow consumer loses records to a counted gap marker
    ORDERS = "orders"  # ordered per key, at least once, never dropped; a full queue pushes back


@dataclasses.dataclass(frozen=True, slots=True)
class Topic:
    """One named stream of messages.

    ``partitions`` bounds how many members of a group may share it. ``retention_s`` is how long a broker keeps a message
    at least, unless ``compacted``: then the last message of each key is kept for ever, where the broker can do that.
    """

    name: str
    plane: Plane
    key: str
    partitions: int = 1
    retention_s: int = 7 * DAY_S
    compacted: bool = False


def market_events(venue: Venue) -> Topic:
    """MarketBatch messages of one venue."""
    return Topic(f"md.events.{venue.lower()}", Plane.MARKET_DATA, "venue", retention_s=DAY_S)


def dead_letters_of(name: str) -> Topic:
    """DeadLettered messages of the topic ``name``; on the order plane whatever the topic's own plane is."""
    return Topic(f"{name}.dead-letter", Plane.ORDERS, "as in the topic", retention_s=30 * DAY_S)


MD_STATUS: Final = Topic("md.status", Plane.MARKET_DATA, "instrument", retention_s=DAY_S)
ORDERS_COMMANDS: Final = Topic("orders.commands", Plane.ORDERS, "account", partitions=4)
ORDERS_EVENTS: Final = Topic("orders.events", Plane.ORDERS, "account", partitions=4)
ACCOUNT_EVENTS: Final = Topic("account.events", Plane.ORDERS, "account", partitions=4)
RISK_COMMANDS: Final = Topic("risk.commands", Plane.ORDERS, "scope")
RISK_STATE: Final = Topic("risk.state", Plane.ORDERS, "scope", compacted=True)
RISK_LIMITS: Final = Topic("risk.limits", Plane.MARKET_DATA, "account", retention_s=DAY_S)
STRATEGY_COMMANDS: Final = Topic("strategy.commands", Plane.ORDERS, "strategy")
STRATEGY_STATE: Final = Topic("strategy.state", Plane.ORDERS, "strategy", compacted=True)
STRATEGY_LOGS: Final = Topic("strategy.logs", Plane.MARKET_DATA, "strategy", retention_s=DAY_S)
REF_INSTRUMENTS: Final = Topic("ref.instruments", Plane.ORDERS, "instrument", compacted=True)
OPS_AUDIT: Final = Topic("ops.audit", Plane.ORDERS, "actor", retention_s=30 * DAY_S)
OPS_ALERTS: Final = Topic("ops.alerts", Plane.ORDERS, "alert", compacted=True)

FIXED_TOPICS: Final = (
    MD_STATUS,
    ORDERS_COMMANDS,
    ORDERS_EVENTS,
    ACCOUNT_EVENTS,
    RISK_COMMANDS,
    RISK_STATE,
    RISK_LIMITS,
    STRATEGY_COMMANDS,
    STRATEGY_STATE,
    STRATEGY_LOGS,
    REF_INSTRUMENTS,
    OPS_AUDIT,
    OPS_ALERTS,
)
BY_NAME: Final[dict[str, Topic]] = {topic.name: topic for topic in FIXED_TOPICS}
