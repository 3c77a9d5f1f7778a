"""``tradewind topics list`` and ``lag``: what the brokers hold, and how far each group is behind. Reads no message."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from tradewind.bus.interface import TopicDescription
from tradewind.runtime.topics.brokers import Buses
from tradewind.runtime.topics.plain_text import shown, shown_duration
from tradewind.wire.topics import Topic

Described = Mapping[Topic, TopicDescription]


async def describe(buses: Buses, topics: Iterable[Topic]) -> Described:
    """Each topic whose plane is there, as its broker has it now."""
    return {topic: await buses[topic.plane].describe(topic) for topic in topics if topic.plane in buses}


def messages_kept(description: TopicDescription) -> int:
    """Messages between the oldest kept and the end; in a compacted topic some of them are gone."""
    return sum(one.end - one.first for one in description.partitions)


def list_rows(described: Described) -> list[dict[str, Any]]:
    """One mapping per topic, for JSON."""
    return [
        {
            "topic": topic.name,
            "plane": topic.plane.value,
            "key": topic.key,
            "partitions": [{"first": one.first, "end": one.end} for one in description.partitions],
            "retention_s": None if topic.compacted else topic.retention_s,
            "compacted": topic.compacted,
            "messages": messages_kept(description),
            "groups": {group: sum(lags.values()) for group, lags in sorted(description.lag.items())},
        }
        for topic, description in described.items()
    ]


def list_table(described: Described) -> Table:
    """The same for the eye."""
    table = _table("topic", "plane", "key", "partitions", "retention", "messages", "group", "lag")
    for topic, description in described.items():
        groups = sorted(description.lag.items())
        names = "\n".join(shown(group) for group, _ in groups) or "-"
        lags = "\n".join(f"{sum(by_partition.values()):,}" for _, by_partition in groups) or "-"
        retention = "last of each key" if topic.compacted else shown_duration(topic.retention_s)
        kept = f"{messages_kept(description):,}"
        cells = (topic.name, topic.plane.value, topic.key, str(len(description.partitions)), retention, kept)
        table.add_row(*(Text(cell) for cell in (*cells, names, lags)))
    return table


def lag_rows(described: Described) -> list[dict[str, Any]]:
    """One mapping per topic, group and partition, for JSON."""
    return [
        {"topic": topic.name, "group": group, "partition": partition, "lag": lag}
        for topic, description in described.items()
        for group, by_partition in sorted(description.lag.items())
        for partition, lag in sorted(by_partition.items())
    ]


def lag_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The same for the eye."""
    table = _table("topic", "group", "partition", "lag")
    for row in rows:
        table.add_row(
            *(Text(shown(str(row[name]))) for name in ("topic", "group")), f"{row['partition']}", f"{row['lag']:,}"
        )
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        right = name in ("partitions", "partition", "messages", "lag")
        # A name cut in the middle cannot be copied into the next command, so it folds instead.
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table
