"""The AsyncAPI document and the tables of docs/protocols say what the code does, and stand on their own feet."""

import json
import os
import pathlib
import re
import runpy
import subprocess
import zlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import numpy as np
import pytest

from tradewind.model.accounts import Balance
from tradewind.model.identifiers import Venue
from tradewind.model.instruments import Instrument
from tradewind.wire.describing import field_meanings, record_layout
from tradewind.wire.describing.asyncapi import asyncapi_document
from tradewind.wire.describing.markdown_tables import STATUS_AFTER, TABLES, UnknownTable, with_tables
from tradewind.wire.encoding import MESSAGE_TYPES, VERSIONS, decode
from tradewind.wire.events import ORDER_EVENT_TYPES, BalanceDifference, LimitUsed
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import MARKET_RECORD, empty_records
from tradewind.wire.topic_messages import DEAD_LETTERS, MARKET_EVENTS, TRAFFIC
from tradewind.wire.topics import FIXED_TOPICS

HERE: Final = pathlib.Path(__file__).parent
MAKER: Final = runpy.run_path(str(HERE / "make_protocol_pages.py"))
DOCUMENT: Final[dict[str, Any]] = asyncapi_document(MAKER["examples"]())
PARSER: Final = "TRADEWIND_TEST_ASYNCAPI_PARSER"
STRUCTS: Final[tuple[type[msgspec.Struct], ...]] = (
    *MESSAGE_TYPES.values(),
    Instrument,
    Balance,
    BalanceDifference,
    LimitUsed,
)


@pytest.mark.parametrize("path", MAKER["pages"](), ids=lambda path: path.name)
def test_what_is_committed_is_what_the_code_says(path: pathlib.Path) -> None:
    wanted = MAKER["pages"]()[path]
    assert path.exists(), "run python libs/wire/tests/make_protocol_pages.py and commit docs/protocols"
    same = path.read_text(encoding="utf-8") == wanted
    assert same, f"{path.name} differs: run python libs/wire/tests/make_protocol_pages.py and commit docs/protocols"


def test_every_table_stands_on_the_page() -> None:
    page = MAKER["PAGE"].read_text(encoding="utf-8")
    assert re.findall(r"<!-- made: ([a-z ]+) -->", page) == [name for name in TABLES if f"made: {name} " in page]
    assert {name for name in TABLES if f"<!-- made: {name} -->" in page} == set(TABLES)


def test_a_marker_of_an_unknown_table_is_an_error() -> None:
    with pytest.raises(UnknownTable, match="no table 'prices'; there are: topics"):
        with_tables("<!-- made: prices -->\n<!-- /made -->")


def test_tables_made_twice_are_the_same() -> None:
    page = "a\n<!-- made: topics -->\n<!-- /made -->\nb\n"
    once = with_tables(page)
    assert "| `orders.commands` | orders | account | 4 | 7 days |" in once
    assert with_tables(once) == once


def test_every_topic_and_every_message_has_its_traffic() -> None:
    assert {traffic.topic for traffic in TRAFFIC} == {*FIXED_TOPICS, MARKET_EVENTS, DEAD_LETTERS}
    travelling = {one for traffic in TRAFFIC for one in traffic.messages}
    assert travelling == {*MESSAGE_TYPES.values(), MarketBatch}


def test_every_field_has_a_meaning_and_every_meaning_a_field() -> None:
    fields = {(one.__name__, field.name) for one in STRUCTS for field in msgspec.structs.fields(one)}
    assert {name for _, name in fields} == set(field_meanings.MEANINGS)
    assert set(field_meanings.NARROWED) <= fields
    assert set(record_layout.MEANINGS) == set(MARKET_RECORD.names or ())
    assert set(STATUS_AFTER) == {one.__name__ for one in ORDER_EVENT_TYPES}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(found := value.get("$ref"), str):
            yield found
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _resolved(reference: str) -> Any:
    value: Any = DOCUMENT
    assert reference.startswith("#/")
    for step in reference.removeprefix("#/").split("/"):
        value = value[step]
    return value


def test_every_reference_of_the_document_leads_somewhere() -> None:
    references = set(_references(DOCUMENT))
    assert len(references) > len(MESSAGE_TYPES)
    for reference in references:
        assert isinstance(_resolved(reference), dict)
    used = {reference.rpartition("/")[2] for reference in references if reference.startswith("#/components/")}
    components = DOCUMENT["components"]
    assert set(components["messages"]) | set(components["schemas"]) <= used


@pytest.mark.parametrize("name", sorted(MESSAGE_TYPES))
def test_every_example_is_the_committed_message_and_fits_its_schema(name: str) -> None:
    [example] = DOCUMENT["components"]["messages"][name]["examples"]
    fixture = json.loads((HERE / "fixtures" / f"{name}.v{VERSIONS[name]}.json").read_text(encoding="utf-8"))
    message = decode(name, VERSIONS[name], bytes.fromhex(fixture["msgpack"]))
    assert msgspec.convert(example["payload"], MESSAGE_TYPES[name]) == message
    _check(DOCUMENT["components"]["schemas"][name], example["payload"])


def _check(schema: dict[str, Any], value: Any) -> None:
    """The few words of JSON Schema that the document uses for structs; others are an error."""
    if "$ref" in schema:
        return _check(_resolved(schema["$ref"]), value)
    for inner in schema.get("allOf", ()):
        _check(inner, value)
    if "anyOf" in schema:
        kinds = {choice.get("type") for choice in schema["anyOf"]}
        assert "null" in kinds
        if value is not None:
            _check(next(choice for choice in schema["anyOf"] if choice.get("type") != "null"), value)
    if "enum" in schema:
        assert value in schema["enum"]
    if "const" in schema:
        assert value == schema["const"]
    match schema.get("type"):
        case "object":
            assert set(schema["required"]) <= set(value) <= set(schema["properties"])
            for field, inner in value.items():
                assert schema["properties"][field]["description"]
                _check(schema["properties"][field], inner)
        case "array":
            assert isinstance(value, list)
            for inner in value:
                _check(schema["items"], inner)
        case "string":
            assert isinstance(value, str)
        case "integer":
            assert isinstance(value, int)
        case "boolean":
            assert isinstance(value, bool)
        case other:
            assert other is None
    return None


def test_a_record_can_be_read_with_the_document_alone() -> None:
    records = empty_records(1)
    wanted = {name: number + 1 for number, name in enumerate(MARKET_RECORD.names or ())}
    wanted["instrument"] = zlib.crc32(b"BTCUSDT.BINANCE")
    for name, value in wanted.items():
        records[name] = value
    payload = records.tobytes()
    schema = DOCUMENT["components"]["schemas"]["MarketRecords"]
    assert len(payload) == schema["x-record-bytes"]
    read = {}
    for field in schema["x-record"]:
        place = payload[field["offset"] : field["offset"] + field["size"]]
        assert field["size"] * 8 == int(re.sub(r"\D", "", field["type"]))
        read[field["name"]] = int.from_bytes(place, "little", signed=field["type"].startswith("int"))
    assert read == wanted
    assert np.array_equal(MarketBatch.from_bytes(Venue("BINANCE"), payload).records, records)


def test_each_channel_states_what_the_topic_promises() -> None:
    channels = DOCUMENT["channels"]
    assert channels["md.events.venue"]["address"] == "md.events.{venue}"
    assert set(channels["topic.dead-letter"]["parameters"]) == {"topic"}
    for traffic in TRAFFIC:
        channel = channels[traffic.topic.name.replace("<", "").replace(">", "")]
        assert channel["x-plane"] == traffic.topic.plane
        assert channel["x-partitions"] == channel["bindings"]["kafka"]["partitions"] == traffic.topic.partitions
        assert channel["x-compacted"] is traffic.topic.compacted
        receives = [one for one in DOCUMENT["operations"].values() if _resolved(one["channel"]["$ref"]) == channel]
        assert len(receives) == len(traffic.senders) + len(traffic.receivers)


def test_the_official_parser_finds_nothing_to_say() -> None:
    if not (folder := os.environ.get(PARSER)):
        pytest.skip(f"{PARSER} names no folder in which `npm install @asyncapi/parser` was run")
    command = ["node", str(HERE / "validate_asyncapi.mjs"), folder, str(MAKER["DOCUMENT"])]
    result = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(TRAFFIC)} channels" in result.stdout
