"""Bytes that are no message of ours are told apart, whatever they are, and old versions are brought up to date."""

import json
import pathlib
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.model.identifiers import AccountId, ClientOrderId, StrategyId
from tradewind.wire import encoding
from tradewind.wire.commands import CancelAllOrders, CancelOrder
from tradewind.wire.encoding import MAX_DEAD_LETTER_BYTES, MAX_MESSAGE_BYTES, UndecodableMessage, decode, encode
from tradewind.wire.events import DeadLettered
from tradewind.wire.messages import EventIds, Message

TYPES: Final = sorted(encoding.MESSAGE_TYPES)
FIXTURE_BYTES: Final = {
    (content["type"], content["version"]): bytes.fromhex(content["msgpack"])
    for path in sorted((pathlib.Path(__file__).parent / "fixtures").glob("*.json"))
    for content in [json.loads(path.read_text(encoding="utf-8"))]
}
IDENTITY: Final[dict[str, Any]] = {
    "event_id": "e-2",
    "correlation_id": "e-1",
    "causation_id": "e-1",
    "ts_event": 1,
    "ts_init": 2,
}
CANCEL: Final = CancelOrder(
    **IDENTITY,
    strategy_id=StrategyId("ab"),
    account_id=AccountId("SIM-main"),
    client_order_id=ClientOrderId("ab-1-1"),
)


def _cancel_all(reason: str) -> CancelAllOrders:
    return CancelAllOrders(**IDENTITY, account_id=AccountId("SIM-main"), reason=reason)


def _of_size(size: int) -> CancelAllOrders:
    probe = _cancel_all("x" * 70_000)  # long enough for the widest length prefix
    return _cancel_all("x" * (70_000 + size - len(encode(probe))))


# What is refused


@pytest.mark.parametrize("name", ["", "Nothing", "submitorder", "MarketBatch"])
def test_an_unknown_type_is_refused(name: str) -> None:
    with pytest.raises(UndecodableMessage, match="unknown message type"):
        decode(name, 1, encode(CANCEL))


@pytest.mark.parametrize("version", [2, 99, 0, -1])
def test_a_version_from_the_future_or_none_is_refused(version: int) -> None:
    with pytest.raises(UndecodableMessage, match=rf"CancelOrder version {version} is unknown here \(newest is 1\)"):
        decode("CancelOrder", version, encode(CANCEL))


@pytest.mark.parametrize("name", TYPES)
def test_every_truncation_is_refused(name: str) -> None:
    payload = FIXTURE_BYTES[name, encoding.VERSIONS[name]]
    for length in range(len(payload)):
        with pytest.raises(UndecodableMessage):
            decode(name, encoding.VERSIONS[name], payload[:length])


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(UndecodableMessage):
        decode("CancelOrder", 1, encode(CANCEL) + b"\x00")


@pytest.mark.parametrize("other", [name for name in TYPES if name != "CancelOrder"])
def test_the_bytes_of_another_type_are_refused(other: str) -> None:
    with pytest.raises(UndecodableMessage, match="CancelOrder version 1"):
        decode("CancelOrder", 1, FIXTURE_BYTES[other, encoding.VERSIONS[other]])


@pytest.mark.parametrize("payload", [b"", b"\xc0", b"\x80", b"\xc1", b"{}", b"\x90", b"\xff" * 100])
def test_garbage_is_refused(payload: bytes) -> None:
    with pytest.raises(UndecodableMessage):
        decode("SubmitOrder", 1, payload)


def test_an_unknown_field_nested_too_deep_is_refused() -> None:
    fields = {**msgspec.msgpack.decode(encode(CANCEL)), "extra": None}
    payload = msgspec.msgpack.encode(fields).removesuffix(b"\xc0") + b"\x91" * 500_000 + b"\xc0"
    with pytest.raises(UndecodableMessage):
        decode("CancelOrder", 1, payload)


def test_a_string_that_is_not_utf8_is_refused() -> None:
    payload = encode(CANCEL).replace(b"SIM-main", b"SIM\xff\xfeain")
    with pytest.raises(UndecodableMessage):
        decode("CancelOrder", 1, payload)


def test_an_unknown_field_is_no_reason_to_refuse() -> None:
    fields = {**msgspec.msgpack.decode(encode(CANCEL)), "added_later": [1, 2]}
    assert decode("CancelOrder", 1, msgspec.msgpack.encode(fields)) == CANCEL


def test_the_largest_message_passes_and_one_byte_more_does_not() -> None:
    largest = _of_size(MAX_MESSAGE_BYTES)
    payload = encode(largest)
    assert len(payload) == MAX_MESSAGE_BYTES
    assert decode("CancelAllOrders", 1, payload) == largest
    with pytest.raises(ValueError, match=r"CancelAllOrders of 1000001 bytes is over 1000000"):
        encode(_of_size(MAX_MESSAGE_BYTES + 1))
    with pytest.raises(UndecodableMessage, match="over 1000000"):
        decode("CancelAllOrders", 1, payload + b"\x00")


def test_a_dead_letter_has_room_for_the_largest_message() -> None:
    letter = DeadLettered(
        **IDENTITY,
        topic="orders.commands",
        partition=0,
        offset=0,
        key="SIM-main",
        message_type="CancelAllOrders",
        message_version=1,
        reason="?",
        payload=encode(_of_size(MAX_MESSAGE_BYTES)),
    )
    assert decode("DeadLettered", 1, encode(letter)) == letter
    with pytest.raises(ValueError, match=f"over {MAX_DEAD_LETTER_BYTES}"):
        encode(msgspec.structs.replace(letter, payload=b"x" * MAX_DEAD_LETTER_BYTES))
    with pytest.raises(UndecodableMessage, match=f"over {MAX_DEAD_LETTER_BYTES}"):
        decode("DeadLettered", 1, b"x" * (MAX_DEAD_LETTER_BYTES + 1))


@given(st.sampled_from(TYPES), st.integers(-2, 5), st.binary(max_size=300))
def test_any_bytes_are_a_message_or_undecodable(name: str, version: int, payload: bytes) -> None:
    try:
        message = decode(name, version, payload)
    except UndecodableMessage:
        return
    assert type(message).__name__ == name


@given(st.sampled_from(TYPES), st.data())
def test_a_damaged_message_is_a_message_or_undecodable(name: str, data: st.DataObject) -> None:
    payload = bytearray(FIXTURE_BYTES[name, encoding.VERSIONS[name]])
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = decode(name, encoding.VERSIONS[name], bytes(payload))
    except UndecodableMessage:
        return
    assert decode(name, encoding.VERSIONS[name], encode(message)) == message


def test_a_memoryview_decodes_like_bytes() -> None:
    assert decode("CancelOrder", 1, memoryview(encode(CANCEL))) == CANCEL


# Upgrades


@pytest.fixture
def cancel_order_is_at_version_3(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if version 1 had called the account ``book`` and version 2 had not had the strategy."""

    def from_1(fields: dict[str, Any]) -> dict[str, Any]:
        fields["account_id"] = fields.pop("book")
        return fields

    def from_2(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "strategy_id": fields["client_order_id"].rsplit("-", 2)[0]}

    monkeypatch.setitem(encoding.VERSIONS, "CancelOrder", 3)
    monkeypatch.setitem(encoding.UPGRADES, ("CancelOrder", 1), from_1)
    monkeypatch.setitem(encoding.UPGRADES, ("CancelOrder", 2), from_2)


def _map_at(version: int) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.msgpack.decode(encode(CANCEL))
    if version <= 2:
        del fields["strategy_id"]
    if version <= 1:
        fields["book"] = fields.pop("account_id")
    return fields


@pytest.mark.usefixtures("cancel_order_is_at_version_3")
@pytest.mark.parametrize("version", [1, 2, 3])
def test_old_versions_are_upgraded_step_by_step(version: int) -> None:
    assert decode("CancelOrder", version, msgspec.msgpack.encode(_map_at(version))) == CANCEL


@pytest.mark.usefixtures("cancel_order_is_at_version_3")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "damage",
    [
        lambda fields: {},
        lambda fields: {**fields, "client_order_id": 7},
        lambda fields: {**fields, "type": "SubmitOrder"},
        lambda fields: {**fields, "ts_event": "today"},
        lambda fields: [1, 2],
    ],
    ids=["empty", "wrong type of a field used", "another tag", "wrong type of a field kept", "no map"],
)
def test_a_damaged_old_message_is_undecodable(version: int, damage: Any) -> None:
    with pytest.raises(UndecodableMessage, match=f"CancelOrder version {version}"):
        decode("CancelOrder", version, msgspec.msgpack.encode(damage(_map_at(version))))


@pytest.mark.usefixtures("cancel_order_is_at_version_3")
def test_a_missing_upgrade_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(encoding.UPGRADES, ("CancelOrder", 2))
    with pytest.raises(UndecodableMessage, match="upgrade from 2"):
        decode("CancelOrder", 1, msgspec.msgpack.encode(_map_at(1)))


# Identity


def test_event_ids_are_never_made_twice() -> None:
    one, other = EventIds(), EventIds()
    ids = [make() for make in (one, other) for _ in range(1000)]
    assert len(set(ids)) == 2000


def test_a_message_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        CANCEL.ts_event = 3  # type: ignore[misc]


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_a_message_with_its_name_as_tag(name: str) -> None:
    message_type = encoding.MESSAGE_TYPES[name]
    assert issubclass(message_type, Message)
    assert message_type.__struct_config__.tag == name
    assert message_type.__struct_config__.frozen
