"""What the protocol pages say of who uses a topic is what the services' code uses."""

import pathlib
import re
from typing import Final

import pytest

from tradewind.wire import topics
from tradewind.wire.topic_messages import DEAD_LETTERS, MARKET_EVENTS, OPERATOR, STRATEGIES, TRAFFIC, TopicTraffic

ROOT: Final = pathlib.Path(__file__).parents[1]
LIBRARIES: Final = {STRATEGIES: "libs/strategy/src", "execution": "libs/execution/src"}
"""Services whose use of topics is in a library."""


def _name_in_code(traffic: TopicTraffic) -> str:
    if traffic.topic is MARKET_EVENTS:
        return "market_events"
    [name] = [name for name, value in vars(topics).items() if value is traffic.topic]
    return name


def _services() -> dict[str, list[pathlib.Path]]:
    folders = {toml.parent.name: [toml.parent / "src"] for toml in ROOT.glob("services/*/service.toml")}
    services = {name: paths for name, paths in folders.items() if not name.startswith("strategy-")}
    for name, library in LIBRARIES.items():
        services.setdefault(name, []).append(ROOT / library)
    return services


def _uses(folders: list[pathlib.Path], name: str) -> bool:
    files = [path for folder in folders for path in folder.rglob("*.py")]
    assert files
    return any(re.search(rf"\b{name}\b", path.read_text(encoding="utf-8")) for path in files)


@pytest.mark.parametrize("traffic", [one for one in TRAFFIC if one.topic is not DEAD_LETTERS], ids=_name_in_code)
def test_a_topic_is_used_by_those_the_pages_name_and_by_no_other(traffic: TopicTraffic) -> None:
    code = _name_in_code(traffic)
    users = {service for service, folders in _services().items() if _uses(folders, code)}
    said = {*traffic.senders, *traffic.receivers} - {OPERATOR}
    assert users == said, "change TRAFFIC in topic_messages.py, then run libs/wire/tests/make_protocol_pages.py"
