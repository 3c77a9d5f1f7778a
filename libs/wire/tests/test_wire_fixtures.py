"""Everything ever written can still be read: committed bytes of every message type and version."""

import json
import pathlib
import runpy
from typing import Any, Final

import msgspec
import pytest

from tradewind.wire.encoding import MESSAGE_TYPES, VERSIONS, decode, encode, type_name

HERE: Final = pathlib.Path(__file__).parent
FIXTURES: Final = sorted((HERE / "fixtures").glob("*.json"))


def _load(path: pathlib.Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _map_of(payload: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.msgpack.decode(payload)
    return fields


def test_every_type_has_a_fixture_of_each_of_its_versions() -> None:
    wanted = {f"{name}.v{version}.json" for name in MESSAGE_TYPES for version in range(1, VERSIONS[name] + 1)}
    assert {path.name for path in FIXTURES} == wanted, "run libs/wire/tests/make_fixtures.py and commit what is new"


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_a_fixture_still_decodes(path: pathlib.Path) -> None:
    fixture = _load(path)
    assert path.name == f"{fixture['type']}.v{fixture['version']}.json"
    message = decode(fixture["type"], fixture["version"], bytes.fromhex(fixture["msgpack"]))
    assert type_name(message) == fixture["type"]
    if fixture["version"] == VERSIONS[fixture["type"]]:
        readable: Any = msgspec.json.decode(json.dumps(fixture["fields"]), type=MESSAGE_TYPES[fixture["type"]])
        assert message == readable


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_a_fixture_encodes_to_the_same_bytes_again(path: pathlib.Path) -> None:
    fixture = _load(path)
    name, payload = fixture["type"], bytes.fromhex(fixture["msgpack"])
    if fixture["version"] != VERSIONS[name]:
        pytest.skip("an old version is read, never written")
    again = encode(decode(name, fixture["version"], payload))
    # A field with a default may have been added since: it comes on top, and nothing else may differ.
    added = _map_of(again).keys() - _map_of(payload).keys()
    required = {field.name for field in msgspec.structs.fields(MESSAGE_TYPES[name]) if field.required}
    assert not added & required
    if added:
        assert {key: value for key, value in _map_of(again).items() if key not in added} == _map_of(payload)
    else:
        assert again == payload


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_no_field_of_a_fixture_has_its_default(path: pathlib.Path) -> None:
    fixture = _load(path)
    for field in msgspec.structs.fields(MESSAGE_TYPES[fixture["type"]]):
        if not field.required and field.encode_name in fixture["fields"]:
            assert fixture["fields"][field.encode_name] != field.default


def test_the_maker_of_fixtures_never_overwrites_one(tmp_path: pathlib.Path) -> None:
    maker = runpy.run_path(str(HERE / "make_fixtures.py"))
    written = maker["write_missing"](tmp_path)
    assert len(written) == len(MESSAGE_TYPES)
    assert maker["write_missing"](tmp_path) == []
    before = (tmp_path / "CancelOrder.v1.json").read_bytes()
    with pytest.raises(FileExistsError):
        maker["write"]("CancelOrder", tmp_path)
    assert (tmp_path / "CancelOrder.v1.json").read_bytes() == before
