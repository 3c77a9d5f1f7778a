"""Packet captures: every form of file and packet that libpcap and we read, the ITCH day inside, and hostile files."""

import os
import random
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from packet_files import (
    ETHERNET,
    IPV6_TYPE,
    PORT,
    RAW,
    SLL,
    Timed,
    ethernet,
    ipv4,
    ipv6,
    itch_messages,
    mold,
    mold_stream,
    pcap,
    pcapng,
    udp,
)

from tradewind.runtime.captures.items import CaptureBroken, CaptureReader, CaptureRefused
from tradewind.runtime.captures.opening import open_capture
from tradewind.store.testing import missing
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordArray, RecordFlag

try:
    from tradewind_native import pcap_files as native
except ImportError:
    missing("libpcap", "libpcap was not there when native was built", whole_module=True)

DATA = Path(os.environ.get("TRADEWIND_TEST_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"))
COUNTS = {"A": 4997, "F": 3, "E": 198, "D": 1745, "U": 12, "X": 45, "P": 5000, "S": 6, "R": 3, "H": 3}
START = 1_293_192_000_123_456_789  # 2010-12-24 12:00:00 UTC and some
START_US = START // 1000 * 1000

Writer = Callable[..., bytes]


@pytest.fixture(scope="module")
def day() -> list[bytes]:
    path = DATA / "itch50" / "ex20101224.lenfixed.itch50"
    if not path.is_file():
        pytest.skip(f"no ITCH day {path}: set TRADEWIND_TEST_DATA")
    return itch_messages(path.read_bytes())


def timed(datagrams: list[bytes]) -> list[Timed]:
    return [(START + number * 1_001, ethernet(ipv4(udp(payload)))) for number, payload in enumerate(datagrams)]


def batches_of(reader: CaptureReader) -> list[RecordArray]:
    return [item.records for _, item in reader if isinstance(item, MarketBatch)]


def opened(path: Path, content: bytes) -> CaptureReader:
    path.write_bytes(content)
    return open_capture(path)


def payloads(path: Path, content: bytes) -> tuple[list[bytes], dict[str, int]]:
    path.write_bytes(content)
    file = native.PcapFile(str(path))
    found: list[bytes] = []
    while batch := file.read(2):
        found += [datagram.payload for datagram in batch]
    return found, file.counts._asdict()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [True, False])
@pytest.mark.parametrize("write", [pcap, pcapng])
def test_the_itch_day_in_every_form_of_file(
    tmp_path: Path, day: list[bytes], write: Writer, nanoseconds: bool, order: str
) -> None:
    packets = timed(mold_stream(day))
    reader = opened(tmp_path / "day.cap", write(packets, nanoseconds=nanoseconds, order=order))
    records = np.concatenate(batches_of(reader))
    details = reader.counts.details
    assert {kind: details.get(f"ITCH {kind}", 0) for kind in COUNTS} == COUNTS
    assert (reader.counts.messages, reader.counts.gaps, reader.counts.malformed) == (12_012, 0, 0)
    assert reader.counts.records == len(records)
    assert reader.counts.first_ns == (START if nanoseconds else START_US)
    times = {at if nanoseconds else at // 1000 * 1000 for at, _ in packets}
    assert set(records["ts_recv"].tolist()) <= times
    assert (np.diff(records["sequence"].astype("int64")) >= 0).all()


def test_two_lines_make_one_stream_and_each_fills_the_other_s_gaps(tmp_path: Path, day: list[bytes]) -> None:
    packets = timed(mold_stream(day))
    whole = np.concatenate(batches_of(opened(tmp_path / "one", pcap(packets))))
    line_a = [packet for number, packet in enumerate(packets) if number % 5 != 3]
    line_b = [(at + 500, packet) for number, (at, packet) in enumerate(packets) if number % 7 != 2]
    reader = opened(tmp_path / "two", pcap(sorted(line_a + line_b)))
    both = np.concatenate(batches_of(reader))
    missing = sum(1 for number in range(len(packets)) if number % 5 == 3 and number % 7 == 2)
    assert missing > 0
    assert reader.counts.gaps == missing
    assert reader.counts.details["repeated"] > 0
    kept = ~np.isin((whole["sequence"] - 1) // 7, [n for n in range(len(packets)) if n % 5 == 3 and n % 7 == 2])
    fields = ["sequence", "order_id", "price", "size", "kind", "instrument"]
    for field in fields:
        assert both[field].tolist() == whole[kept][field].tolist()
    assert (both["flags"] & RecordFlag.GAP).astype(bool).sum() == missing


def test_a_packet_that_comes_late_is_put_in_its_place(tmp_path: Path, day: list[bytes]) -> None:
    datagrams = mold_stream(day[:700])
    datagrams[10], datagrams[14] = datagrams[14], datagrams[10]
    reader = opened(tmp_path / "late", pcap(timed(datagrams)))
    sequences = np.concatenate(batches_of(reader))["sequence"].astype("int64")
    assert (np.diff(sequences) >= 0).all()
    assert (reader.counts.gaps, reader.counts.messages) == (0, 700)


def test_what_is_lost_is_a_gap_that_records_say(tmp_path: Path, day: list[bytes]) -> None:
    datagrams = mold_stream(day[:7000])
    del datagrams[500:503]
    reader = opened(tmp_path / "gap", pcap(timed(datagrams)))
    records = np.concatenate(batches_of(reader))
    assert (reader.counts.gaps, reader.counts.lost) == (1, 21)
    marked = records[(records["flags"] & RecordFlag.GAP) != 0]
    assert len(marked) == 1
    assert int(marked["sequence"][0]) > 3_521


@pytest.mark.parametrize(
    ("link", "packet"),
    [
        (ETHERNET, ethernet(ipv4(udp(b"hello")))),
        (ETHERNET, ethernet(ipv4(udp(b"hello")) + bytes(9))),  # padding to Ethernet's shortest frame
        (ETHERNET, ethernet(ipv4(udp(b"hello"), options=bytes(8)))),
        (ETHERNET, ethernet(ipv4(udp(b"hello")), tags=[0x8100])),
        (ETHERNET, ethernet(ipv4(udp(b"hello")), tags=[0x88A8, 0x8100])),
        (ETHERNET, ethernet(ipv6(udp(b"hello")), IPV6_TYPE)),
        (ETHERNET, ethernet(ipv6(struct.pack(">BB6x", 17, 0) + udp(b"hello"), next_header=0), IPV6_TYPE)),
        (ETHERNET, ethernet(ipv6(struct.pack(">BBHI", 17, 0, 0, 1) + udp(b"hello"), next_header=44), IPV6_TYPE)),
        (RAW, ipv4(udp(b"hello"))),
        (RAW, ipv6(udp(b"hello"))),
        (SLL, bytes(14) + b"\x08\x00" + ipv4(udp(b"hello"))),
    ],
)
def test_the_payload_is_found_in_each_form_of_packet(tmp_path: Path, link: int, packet: bytes) -> None:
    found, counts = payloads(tmp_path / "p", pcap([(START, packet)], link=link))
    assert found == [b"hello"]
    assert (counts["packets"], counts["datagrams"]) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "packet"),
    [
        ("other", ethernet(ipv4(udp(b"hello"), protocol=6))),
        ("other", ethernet(b"arp", kind=0x0806)),
        ("fragments", ethernet(ipv4(udp(b"hello"), fragment=0x2000))),
        ("fragments", ethernet(ipv4(udp(b"hello"), fragment=0x0005))),
        ("fragments", ethernet(ipv6(struct.pack(">BBHI", 17, 0, 1, 1) + udp(b"x"), next_header=44), IPV6_TYPE)),
        ("malformed", ethernet(ipv4(udp(b"hello"))[:-3])),
        ("malformed", ethernet(ipv4(struct.pack(">HHHH", 1, PORT, 7, 0)))),
        ("malformed", ethernet(b"\x42" + ipv4(udp(b"hello"))[1:])),
        ("malformed", ethernet(ipv4(udp(b"hello")), tags=[0x8100] * 5)),
        ("malformed", ethernet(ipv6(bytes(8) * 12, next_header=0), IPV6_TYPE)),
        ("malformed", b"short"),
    ],
)
def test_what_is_no_whole_datagram_is_counted_by_its_reason(tmp_path: Path, kind: str, packet: bytes) -> None:
    good = ethernet(ipv4(udp(b"after")))
    found, counts = payloads(tmp_path / "p", pcap([(START, packet), (START, good)]))
    assert found == [b"after"]
    assert counts[kind] == 1
    assert counts["packets"] == 2


def test_a_packet_that_the_capture_cut_short_is_counted(tmp_path: Path) -> None:
    packet = ethernet(ipv4(udp(b"hello")))
    head = struct.pack("<IIII", 1, 0, 30, len(packet))
    found, counts = payloads(tmp_path / "p", pcap([]) + head + packet[:30])
    assert (found, counts["truncated"]) == ([], 1)


def test_only_the_named_ports_are_looked_at(tmp_path: Path, day: list[bytes]) -> None:
    path = tmp_path / "ports"
    other = ethernet(ipv4(udp(mold(1, day[:3], b"OTHER"), PORT + 1)))
    path.write_bytes(pcap([(START, other), *timed([b"noise", mold(1, day[:2])])]))
    reader = open_capture(path, ports=frozenset({PORT}))
    batches_of(reader)
    assert reader.counts.messages == 2
    assert reader.counts.details["datagrams to other ports"] == 1
    assert reader.counts.details["datagrams that are no MoldUDP64"] == 1


@pytest.mark.parametrize("write", [pcap, pcapng])
def test_a_cut_off_file_gives_everything_before_the_cut(tmp_path: Path, day: list[bytes], write: Writer) -> None:
    whole = write(timed(mold_stream(day[:70])))
    reader = opened(tmp_path / "cut", whole[:-5])
    items = iter(reader)
    assert isinstance(next(items)[1], MarketBatch)
    with pytest.raises(CaptureBroken, match="packet 9"):
        list(items)
    assert reader.counts.messages == 63


def test_lengths_that_lie_are_errors_in_words_and_take_no_memory(tmp_path: Path) -> None:
    gigabyte = 1 << 30
    claims = [
        pcap([]) + struct.pack("<IIII", 1, 0, gigabyte, gigabyte) + b"x" * 40,
        pcap([]) + struct.pack("<IIII", 1, 0, 0xFFFFFFFF, 0xFFFFFFFF) + b"x" * 40,
        pcapng([]) + struct.pack("<II", 6, gigabyte) + bytes(40),
        pcapng([]) + struct.pack("<II", 6, 3) + bytes(40),
    ]
    for content in claims:
        reader = opened(tmp_path / "lie", content)
        with pytest.raises(CaptureBroken, match="cannot be read after packet 0"):
            list(reader)


def test_an_unread_link_type_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(CaptureRefused, match="link type IEEE802_11 are not read"):
        opened(tmp_path / "wifi", pcap([], link=105))


def test_times_that_cannot_be_are_malformed(tmp_path: Path) -> None:
    packet = ethernet(ipv4(udp(b"hello")))
    head = struct.pack("<IIII", 1, 3_000_000_000, len(packet), len(packet))
    found, counts = payloads(tmp_path / "p", pcap([]) + head + packet)
    assert (found, counts["malformed"]) == ([], 1)


@pytest.mark.parametrize("write", [pcap, pcapng])
def test_mutated_files_end_in_order(tmp_path: Path, day: list[bytes], write: Writer) -> None:
    whole = write(timed(mold_stream(day[:200])))
    chance = random.Random(7)
    ends: set[str] = set()
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        try:
            reader = opened(tmp_path / "mutant", bytes(content))
            for records in batches_of(reader):
                assert len(records) > 0
            ends.add("read")
        except (CaptureBroken, CaptureRefused) as error:
            ends.add(type(error).__name__)
    assert {"read", "CaptureBroken"} <= ends


def test_mold_packets_that_lie_are_passed_over(tmp_path: Path, day: list[bytes]) -> None:
    good = mold(1, day[:2])
    lies = [
        good[:19],
        good[:-1],
        good + b"x",
        good[:18] + struct.pack(">H", 9) + good[20:],
        good[:20] + b"\xff\xff" + good[22:],
        good[:10] + struct.pack(">Q", 2**64 - 1) + good[18:],
    ]
    reader = opened(tmp_path / "lies", pcap(timed([*lies, good])))
    batches_of(reader)
    assert reader.counts.messages == 2
    assert reader.counts.details["datagrams that are no MoldUDP64"] == len(lies)


def test_many_sessions_do_not_take_the_memory(tmp_path: Path, day: list[bytes]) -> None:
    flood = [mold(1, day[:1], f"S{number:09d}".encode()) for number in range(500)]
    reader = opened(tmp_path / "flood", pcap(timed(flood)))
    batches_of(reader)
    assert reader.counts.details["sessions"] == 64
    assert reader.counts.details["packets of further sessions"] == 436


def test_without_libpcap_one_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tradewind_native.pcap_files", None)
    with pytest.raises(CaptureRefused, match=r"^pcap and pcapng files need libpcap, .*libpcap-dev.*again\.$"):
        opened(tmp_path / "day", pcap([]))
