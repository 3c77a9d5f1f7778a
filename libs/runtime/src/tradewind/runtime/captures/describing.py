"""``tradewind capture info``: what is in a capture, read to its end with bounded memory."""

import time
from typing import Final

import msgspec

from tradewind.runtime.captures.book_proofs import BookProof, BookProofs
from tradewind.runtime.captures.items import NO_TIME, CaptureBroken, CaptureReader

_NS_PER_S: Final = 1_000_000_000
_MOST_KINDS: Final = 64
_OTHER: Final = "other kinds"


class _Head(msgspec.Struct):
    """What of a JSON frame says its kind: Binance, OKX, Kraken."""

    stream: str = ""
    lastUpdateId: int | None = None
    arg: dict[str, str] = {}
    event: str = ""


_HEADS: Final = msgspec.json.Decoder(_Head)


class CaptureDescription(msgspec.Struct):
    """All that can be said of a capture. ``broken`` is empty for a whole one."""

    file: str
    form: str
    bytes: int
    messages: int
    records: int
    first: str
    last: str
    seconds: float
    longest_silence_s: float
    gaps: int
    lost: int
    backwards: int
    malformed: int
    books: BookProof
    """The books that were built of JSON frames and compared with what the venue says of them."""
    details: dict[str, int]
    broken: str = ""

    @property
    def is_whole(self) -> bool:
        """Nothing is cut off or damaged, and no book differs from the venue's."""
        return not self.broken and self.books.compared == self.books.equal


def describe(reader: CaptureReader) -> CaptureDescription:
    """Read a capture to its end, or to its damage, and say what was in it."""
    kinds: dict[str, int] = {}
    sequence = _Updates()
    proofs = BookProofs()
    broken = ""
    try:
        for _, item in reader:
            if isinstance(item, bytes):
                kind = kind_of(item)
                kind = kind if kind in kinds or len(kinds) < _MOST_KINDS else _OTHER
                kinds[kind] = kinds.get(kind, 0) + 1
                sequence.take(item)
                proofs.take(item)
    except CaptureBroken as error:
        broken = str(error)
    counts = reader.counts
    return CaptureDescription(
        file=str(reader.path),
        form=reader.form,
        bytes=reader.path.stat().st_size,
        messages=counts.messages,
        records=counts.records,
        first=utc(counts.first_ns),
        last=utc(counts.last_ns),
        seconds=(counts.last_ns - counts.first_ns) / _NS_PER_S,
        longest_silence_s=counts.longest_silence_ns / _NS_PER_S,
        gaps=counts.gaps + sequence.gaps,
        lost=counts.lost,
        backwards=counts.backwards,
        malformed=counts.malformed,
        books=proofs.result(),
        details=dict(sorted((kinds | counts.details).items())),
        broken=broken,
    )


def kind_of(frame: bytes) -> str:
    """A short name of what a JSON frame is, without believing anything in it."""
    if frame[:1] == b"[":
        name = frame.rstrip(b"]").split(b",")[-2:]
        return "kraken " + b" ".join(name).decode("ascii", "replace").replace('"', "")[:40]
    try:
        head = _HEADS.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "not understood"
    if head.stream:
        return head.stream[:60]
    if head.lastUpdateId is not None:
        return "depth snapshot"
    if head.event:
        return f"event {head.event[:40]}"
    return " ".join(f"{value}"[:30] for value in list(head.arg.values())[:2]) or "other JSON"


class _Update(msgspec.Struct):
    U: int
    u: int
    s: str = ""


class _Envelope(msgspec.Struct):
    data: _Update


_ENVELOPES: Final = msgspec.json.Decoder(_Envelope)


class _Updates:
    """Gaps between the depth updates of Binance, by symbol."""

    def __init__(self) -> None:
        self.gaps = 0
        self._last: dict[str, int] = {}

    def take(self, frame: bytes) -> None:
        if b"@depth" not in frame[:60]:
            return
        try:
            update = _ENVELOPES.decode(frame).data
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        last = self._last.get(update.s)
        if last is not None and last + 1 < update.U:
            self.gaps += 1
        if last is not None or len(self._last) < _MOST_KINDS:
            self._last[update.s] = max(update.u, last or 0)


def utc(ts_ns: int) -> str:
    """A time in ns as ISO 8601 in UTC with nine decimals; empty for none."""
    if ts_ns == NO_TIME:
        return ""
    seconds, rest = divmod(ts_ns, _NS_PER_S)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"
