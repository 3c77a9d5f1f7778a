"""The door: who may log on, and peers that do what they should not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_kit import CLIENTS, PASSWORD, House, at_venue, house, now, trader, until

from tradewind.services.fix_gateway.framing import MOST_GARBAGE, FixReader, FramingError
from tradewind.services.fix_gateway.settings import GatewaySettings
from tradewind.store.database import Database

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def rooms(database: Database, tmp_path: Path) -> AsyncIterator[House]:
    async with house(database, tmp_path) as one:
        yield one


def message(*fields: tuple[int, object]) -> bytes:
    """A whole FIX message."""
    body = b"".join(f"{tag}={value}\x01".encode() for tag, value in fields)
    head = f"8=FIX.4.4\x019={len(body)}\x01".encode() + body
    return head + b"10=%03d\x01" % (sum(head) % 256)


def logon(number: int = 1, password: str = PASSWORD, sender: str = "ACME", **more: object) -> bytes:
    head = [(35, "A"), (34, number), (49, sender), (52, now()), (56, "TRADEWIND")]
    return message(*head, (98, 0), (108, 1), (553, sender), (554, password))


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while more := await asyncio.wait_for(reader.read(4096), 20):
            data += more
    return data


WRONG = {
    "wrong password": logon(password="not-the-password"),
    "no password": message((35, "A"), (34, 1), (49, "ACME"), (52, "20261123-10:00:00"), (56, "TRADEWIND"), (98, 0)),
    "unknown client": logon(sender="NOBODY"),
    "not a logon": message((35, "0"), (34, 1), (49, "ACME"), (52, "20261123-10:00:00"), (56, "TRADEWIND")),
    "wrong checksum": logon()[:-4] + b"999\x01",
    "too long": b"8=FIX.4.4\x019=9999999\x0135=A\x01",
    "garbage": b"\x00\xff" * MOST_GARBAGE,
    "cut off": logon()[:40],
}


@pytest.mark.parametrize("name", WRONG)
async def test_who_does_not_log_on_rightly_is_told_nothing_and_closed(rooms: House, tmp_path: Path, name: str) -> None:
    async with rooms.gateway(logon_timeout_s=0.5):
        reader, writer = await asyncio.open_connection("127.0.0.1", rooms.port)
        writer.write(WRONG[name])
        assert await closed(reader) == b""
        writer.close()
        async with trader(rooms.port, tmp_path / "client") as client:
            client.order("one")
            await client.sees("one", "A", "0")
    for log in (tmp_path / "platform").rglob("*.log"):
        assert PASSWORD not in log.read_text(errors="replace")


async def test_an_address_that_no_client_has_is_closed(rooms: House) -> None:
    clients = CLIENTS.replace("[[client]]", '[[client]]\nnetworks = ["192.0.2.0/24"]')
    async with rooms.gateway(clients):
        reader, writer = await asyncio.open_connection("127.0.0.1", rooms.port)
        writer.write(logon())
        assert await closed(reader) == b""
        writer.close()


async def test_connections_are_bounded(rooms: House) -> None:
    async with rooms.gateway(max_connections=2):
        held = [await asyncio.open_connection("127.0.0.1", rooms.port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", rooms.port)
        assert await closed(reader) == b""
        writer.close()
    # Those that have not logged on end with the gateway.
    for one, other in held:
        assert await closed(one) == b""
        other.close()


async def test_garbage_after_logon_ends_that_connection_alone(rooms: House, tmp_path: Path) -> None:
    async with rooms.gateway() as context, trader(rooms.port, tmp_path / "old", "FIX.4.2") as other:
        reader, writer = await asyncio.open_connection("127.0.0.1", rooms.port)
        writer.write(logon())
        assert b"35=A" in await asyncio.wait_for(reader.read(4096), 20)
        writer.write(b"\x01\x02garbage" * MOST_GARBAGE)
        await closed(reader)
        writer.close()
        refused = context.metrics.counter("fix_connections_refused", "FIX connections that were closed at the door")
        await until(lambda: refused._value.get() == 1)
        other.order("one")
        await other.sees("one", "A", "0")


async def test_a_new_logon_replaces_a_half_open_connection(rooms: House, tmp_path: Path) -> None:
    async with rooms.gateway():
        # A peer that says nothing any more; its connection stays open.
        reader, writer = await asyncio.open_connection("127.0.0.1", rooms.port)
        writer.write(logon())
        assert b"35=A" in await asyncio.wait_for(reader.read(4096), 20)
        second, answers = await asyncio.open_connection("127.0.0.1", rooms.port)
        answers.write(logon(2))
        assert b"35=A" in await asyncio.wait_for(second.read(4096), 20)
        await closed(reader)
        writer.close()
        answers.close()


async def test_a_dead_peer_is_noticed_by_its_heartbeats(rooms: House) -> None:
    async with rooms.gateway() as context:
        reader, writer = await asyncio.open_connection("127.0.0.1", rooms.port)
        writer.write(logon())
        assert b"35=A" in await asyncio.wait_for(reader.read(4096), 20)
        await until(lambda: context.health.reason.startswith("1 of 2"))
        # Heartbeats and a TestRequest come and nobody answers.
        assert b"35=1" in await closed(reader)
        await until(lambda: context.health.reason.startswith("0 of 2"))
        writer.close()


async def test_too_many_messages_are_read_later_and_none_is_lost(rooms: House, tmp_path: Path) -> None:
    clients = CLIENTS.replace("[[client]]", "[[client]]\nmessages_per_s = 10", 1)
    async with rooms.gateway(clients) as context, trader(rooms.port, tmp_path / "client") as client:
        for number in range(30):
            client.send("H", (11, f"no-{number}"), (55, "BTCUSDT"), (54, 1))
        await until(lambda: len(client.reports) == 30)
        assert {one[103] for one in client.reports} == {"5"}
        held_up = context.metrics.counter("fix_clients_held_up", "Times that a FIX client sent too much a second")
        assert held_up._value.get() > 0


async def test_questions_and_what_is_not_done(rooms: House, tmp_path: Path) -> None:
    async with rooms.gateway(), trader(rooms.port, tmp_path / "client") as client:
        client.send("AF", (584, "m-0"), (585, 7))
        await until(lambda: client.reports)
        assert (client.reports[0][911], client.reports[0][584]) == ("0", "m-0")
        client.order("one")
        client.order("two")
        await client.sees("two", "A", "0")
        client.send("AF", (584, "m-1"), (585, 7))
        await until(lambda: len([one for one in client.reports if one.get(584) == "m-1"]) == 2)
        assert [one[912] for one in client.reports if one.get(584) == "m-1"] == ["N", "Y"]
        client.send("H", (11, "one"), (55, "BTCUSDT"), (54, 1), (790, "q-1"))
        await until(lambda: any(one.get(790) == "q-1" for one in client.reports))
        client.cancel("c-1", "never-was")
        await client.sees("c-1", "9")
        assert client.of("c-1")[0][102] == "1"
        terms = [(55, "BTCUSDT"), (54, 1), (60, now()), (38, "0.002"), (40, 2), (44, "30000")]
        client.send("G", (41, "one"), (11, "r-1"), *terms)
        await client.sees("r-1", "9")
        assert "cancel the order" in client.of("r-1")[0][58]
        client.send("R", (131, "quote"), (146, 1), (55, "BTCUSDT"))
        await until(lambda: client.reports[-1][35] == "j")
        assert client.reports[-1][372] == "R"
        client.order("odd", size="0.000000001")
        await client.sees("odd", "8")
        client.send("D", (11, "day"), (55, "BTCUSDT"), (54, 1), (60, now()), (38, "1"), (40, 2), (44, "1"), (59, 0))
        await client.sees("day", "8")
        assert "TimeInForce (59)" in client.of("day")[0][58]
    assert len(at_venue(tmp_path)) == 2


def test_a_stream_is_cut_into_messages_wherever_it_breaks() -> None:
    stream = b"noise" + logon() + b"x8=FIX.9" + logon(2) + b"8=FIX.4.4\x019=5\x0135=0\x0110=zzz\x01" + logon(3)
    for size in (1, 7, len(stream)):
        reader = FixReader(4096)
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        found = [one for piece in pieces for one in reader.feed(piece)]
        assert [one.split(b"\x01")[3] for one in found] == [b"34=1", b"34=2", b"34=3"]


def test_a_stream_that_never_ends_a_message_is_refused() -> None:
    with pytest.raises(FramingError, match="9000"):
        FixReader(4096).feed(b"8=FIX.4.4\x019=8976\x01")
    reader = FixReader(4096)
    with pytest.raises(FramingError, match="no FIX"):
        reader.feed(b"8=FIX.4.4\x019=zz" * MOST_GARBAGE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[client]\n", "not TOML"),
        ("[other]\n", "takes \\[\\[client\\]\\]"),
        ('[[client]]\ncomp_id = "A"\nstrategy = "fix-a"\npassword = "short"\n', "password: 8 to 128"),
        ('[[client]]\ncomp_id = "A"\nstrategy = "Not A Name"\npassword = "long-enough"\n', "strategy"),
        ('[[client]]\ncomp_id = "A"\nstrategy = "fix-a"\npassword = "long-enough"\nnetworks = ["x"]\n', "client 1"),
        (CLIENTS + CLIENTS, "two clients have the same session"),
    ],
)
def test_clients_that_cannot_be_used_are_refused_without_their_passwords(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        GatewaySettings(clients_secret=text)
    assert "short" not in str(error.value)
    assert PASSWORD not in str(error.value)
    assert PASSWORD not in repr(GatewaySettings(clients_secret=CLIENTS))


async def test_without_clients_it_is_off_and_nothing_listens(rooms: House) -> None:
    async with rooms.gateway("") as context:
        assert context.health.reason == "off: no FIX client is configured"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", rooms.port)
    assert not GatewaySettings().listens
    assert GatewaySettings(clients_secret=CLIENTS).listens
