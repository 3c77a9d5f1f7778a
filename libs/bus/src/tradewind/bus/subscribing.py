"""What every transport refuses before it begins to read: one set of rules, one set of words."""

from tradewind.bus.interface import Offsets, Start
from tradewind.wire.topics import Plane, Topic


def check_subscription(topic: Topic, group: str | None, start: Start | Offsets, capacity: int, lossless: bool) -> None:
    """The arguments of ``Bus.subscribe``.

    Raises:
        ValueError: they ask for what the topic's plane does not offer.
    """
    if capacity < 1:
        raise ValueError(f"capacity of a subscription must be at least 1, not {capacity}")
    if topic.plane is Plane.MARKET_DATA and group is not None:
        raise ValueError(f"topic {topic.name} is market data, which has no groups: read it without one")
    if topic.plane is Plane.ORDERS and lossless:
        raise ValueError(f"topic {topic.name} is of the order plane, which never drops: leave lossless away")
    if isinstance(start, Start):
        return
    if group is not None:
        raise ValueError(f"group {group} keeps its own position: begin it at the earliest or the latest")
    for partition, offset in start.items():
        if not 0 <= partition < topic.partitions or offset < 0:
            raise ValueError(f"topic {topic.name} has no offset {offset} in partition {partition}")


def check_replay(from_offset: int | None, from_time_ns: int | None, limit: int) -> None:
    """The arguments of ``Bus.replay``.

    Raises:
        ValueError: both an offset and a time, or a limit below 1.
    """
    if from_offset is not None and from_time_ns is not None:
        raise ValueError("replay from an offset or from a time, not from both")
    if limit < 1:
        raise ValueError(f"replay limit must be at least 1, not {limit}")
