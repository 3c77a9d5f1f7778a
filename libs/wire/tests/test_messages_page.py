"""docs/protocols/messages.md names every topic and every message, with the facts that the code has."""

import pathlib
import re
from typing import Final

import pytest

from tradewind.wire.encoding import MAX_DEAD_LETTER_BYTES, MAX_MESSAGE_BYTES, MESSAGE_TYPES
from tradewind.wire.events import ORDER_EVENT_TYPES
from tradewind.wire.topics import FIXED_TOPICS, Topic

PAGE: Final = pathlib.Path(__file__).parents[3] / "docs" / "protocols" / "messages.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
NAMED: Final = set(re.findall(r"`([^`]+)`", TEXT))


@pytest.mark.parametrize("topic", FIXED_TOPICS, ids=lambda topic: topic.name)
def test_every_topic_is_on_the_page_with_its_plane_key_and_partitions(topic: Topic) -> None:
    plane = topic.plane.value.replace("-", " ")
    assert f"| `{topic.name}` | {plane} | {topic.key} | {topic.partitions} |" in TEXT


@pytest.mark.parametrize("name", sorted(MESSAGE_TYPES))
def test_every_message_has_a_row_and_a_topic(name: str) -> None:
    assert f"\n| `{name}` | " in TEXT, "add a row that says what the message says"
    is_order_event = MESSAGE_TYPES[name] in ORDER_EVENT_TYPES  # one row of the topic table names them all
    assert is_order_event or TEXT.count(f"`{name}`") > 1, "name it in the table of topics"


def test_the_page_names_no_message_that_is_gone() -> None:
    types = {name for name in NAMED if re.fullmatch(r"[A-Z][a-z]+[A-Za-z]+", name)}
    parts = {"MarketBatch", "Instrument", "Balance", "BalanceDifference", "LimitUsed"}
    assert types - parts - {"UndecodableMessage"} <= set(MESSAGE_TYPES)


def test_the_sizes_on_the_page_are_those_of_the_code() -> None:
    assert f"is at most {MAX_MESSAGE_BYTES:,} bytes (a dead letter {MAX_DEAD_LETTER_BYTES:,})" in TEXT
