"""Whether a zstd file is whole: its frames are walked by the lengths of their blocks, nothing is unpacked.

The DBN decoder waits in silence for the rest of a file that is cut off. Source: RFC 8878, section 3.1.
"""

from typing import BinaryIO, Final

_MAGIC: Final = 0xFD2FB528
_SKIPPABLE: Final = 0x184D2A50
_SKIPPABLE_MASK: Final = 0xFFFFFFF0
_BLOCK_HEADER_BYTES: Final = 3
_CHECKSUM_BYTES: Final = 4
_RLE: Final = 1
_DICTIONARY_BYTES: Final = (0, 1, 2, 4)
_CONTENT_SIZE_BYTES: Final = (0, 2, 4, 8)


def is_whole(file: BinaryIO, size: int) -> bool:
    """Whether the last frame of a file of ``size`` bytes, from its start, is there to its end."""
    at = 0
    while at < size:
        file.seek(at)
        magic = file.read(4)
        if len(magic) < 4:
            return False
        number = int.from_bytes(magic, "little")
        if number & _SKIPPABLE_MASK == _SKIPPABLE:
            at += 8 + int.from_bytes(file.read(4), "little")
        elif number == _MAGIC:
            at = _end_of_frame(file, at, size)
        else:
            return False
    return at == size


def _end_of_frame(file: BinaryIO, start: int, size: int) -> int:
    """Where the frame ends; behind ``size`` when it is cut off."""
    descriptor = (file.read(1) or b"\0")[0]
    single = bool(descriptor & 0x20)
    content = _CONTENT_SIZE_BYTES[descriptor >> 6] or int(single)
    at = start + 5 + int(not single) + _DICTIONARY_BYTES[descriptor & 3] + content
    last = False
    while not last:
        file.seek(at)
        head = file.read(_BLOCK_HEADER_BYTES)
        if len(head) < _BLOCK_HEADER_BYTES:
            return size + 1
        value = int.from_bytes(head, "little")
        last = bool(value & 1)
        at += _BLOCK_HEADER_BYTES + (1 if value >> 1 & 3 == _RLE else value >> 3)
    return at + (_CHECKSUM_BYTES if descriptor & 4 else 0)
