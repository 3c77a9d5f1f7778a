"""Writes packets, MoldUDP64 and packet files for tests, from the formats' own specifications."""

import struct
from collections.abc import Iterable, Sequence
from typing import Final

GROUP: Final = bytes([233, 54, 12, 111])
PORT: Final = 26477
ETHERNET: Final = 1
RAW: Final = 101
SLL: Final = 113
IPV4_TYPE: Final = 0x0800
IPV6_TYPE: Final = 0x86DD

Timed = tuple[int, bytes]
"""Time in ns and the packet."""


def udp(payload: bytes, port: int = PORT) -> bytes:
    return struct.pack(">HHHH", 4000, port, 8 + len(payload), 0) + payload


def ipv4(content: bytes, *, protocol: int = 17, fragment: int = 0x4000, options: bytes = b"") -> bytes:
    size = 20 + len(options)
    head = struct.pack(
        ">BBHHHBBH4s4s",
        0x40 | size // 4,
        0,
        size + len(content),
        7,
        fragment,
        9,
        protocol,
        0,
        bytes([10, 0, 0, 1]),
        GROUP,
    )
    return head + options + content


def ipv6(content: bytes, *, next_header: int = 17) -> bytes:
    return struct.pack(">IHBB", 6 << 28, len(content), next_header, 9) + bytes(16) + bytes(15) + b"\x05" + content


def ethernet(content: bytes, kind: int = IPV4_TYPE, tags: Sequence[int] = ()) -> bytes:
    tagged = b"".join(struct.pack(">HH", tag, 5) for tag in tags)
    return bytes(12) + tagged + struct.pack(">H", kind) + content


def mold(sequence: int, messages: Sequence[bytes], session: bytes = b"TESTDAY001") -> bytes:
    blocks = b"".join(struct.pack(">H", len(message)) + message for message in messages)
    return session + struct.pack(">QH", sequence, len(messages)) + blocks


def pcap(packets: Iterable[Timed], *, nanoseconds: bool = True, order: str = "<", link: int = ETHERNET) -> bytes:
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    made = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262144, link)]
    for at, packet in packets:
        seconds, rest = divmod(at, 10**9)
        head = struct.pack(f"{order}IIII", seconds, rest if nanoseconds else rest // 1000, len(packet), len(packet))
        made.append(head + packet)
    return b"".join(made)


def pcapng(packets: Iterable[Timed], *, nanoseconds: bool = True, order: str = "<", link: int = ETHERNET) -> bytes:
    resolution = 9 if nanoseconds else 6
    options = struct.pack(f"{order}HHB3xHH", 9, 1, resolution, 0, 0)  # if_tsresol, opt_endofopt
    made = [
        _block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order),
        _block(1, struct.pack(f"{order}HHI", link, 0, 262144) + options, order),
    ]
    for at, packet in packets:
        units = at if nanoseconds else at // 1000
        head = struct.pack(f"{order}IIIII", 0, units >> 32, units & 0xFFFFFFFF, len(packet), len(packet))
        made.append(_block(6, head + packet + bytes(-len(packet) % 4), order))
    return b"".join(made)


def _block(kind: int, body: bytes, order: str) -> bytes:
    size = 12 + len(body)
    return struct.pack(f"{order}II", kind, size) + body + struct.pack(f"{order}I", size)


def itch_messages(day: bytes) -> list[bytes]:
    """The messages of a file with a two-byte length before each."""
    messages, at = [], 0
    while at < len(day):
        size = int.from_bytes(day[at : at + 2], "big")
        messages.append(day[at + 2 : at + 2 + size])
        at += 2 + size
    return messages


def mold_stream(messages: Sequence[bytes], per_packet: int = 7) -> list[bytes]:
    """The messages as MoldUDP64 packets of one session, from sequence number 1."""
    return [mold(start + 1, messages[start : start + per_packet]) for start in range(0, len(messages), per_packet)]
