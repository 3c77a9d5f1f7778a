"""ITCH 5.0 files as Nasdaq gives them out: each message behind a two-byte length, plain or gzip."""

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tradewind.model.identifiers import Venue
from tradewind.runtime.captures.itch_records import ITCH_VENUE, numbers_of
from tradewind.runtime.captures.items import CaptureBroken, CaptureCounts, CaptureItem
from tradewind.venue.itch.days import midnight_of
from tradewind.venue.itch.decoding import LENGTHS
from tradewind.venue.itch.files import read_records
from tradewind.wire.market_batches import MarketBatch
from tradewind_native.itch import ItchDecoder
from tradewind_native.itch_error import ItchError

_DAY_IN_NAME: Final = re.compile(r"(?<![0-9])(?:(?P<y>(?:19|20)[0-9]{2})(?P<m>[0-9]{2})(?P<d>[0-9]{2})"
                                 r"|(?P<m2>[0-9]{2})(?P<d2>[0-9]{2})(?P<y2>20[0-9]{2}))(?![0-9])")  # fmt: skip


def is_itch_file(content: bytes) -> bool:
    """Whether a file begins with a message of a known type and the length of that type."""
    return len(content) > 2 and LENGTHS.get(chr(content[2])) == int.from_bytes(content[:2], "big")


class ItchFileCapture:
    """See ``CaptureReader``. The file has no times of receipt: the records carry the feed's own.

    ITCH counts from midnight and does not say of which day; a date in the name (``01302020.NASDAQ_ITCH50``,
    ``ex20101224``) says it, otherwise it is the first of January 1970.
    """

    form = "ITCH 5.0, each message behind its length"

    def __init__(self, path: Path, venue: Venue = ITCH_VENUE) -> None:
        self.path = path
        self.counts = CaptureCounts()
        self._venue = venue

    def __iter__(self) -> Iterator[CaptureItem]:
        """All batches; see ``CaptureReader``."""
        decoder = ItchDecoder(numbers_of(self._venue), _midnight(self.path.name))
        try:
            for records in read_records(self.path, decoder):
                self.counts.records += len(records)
                self.counts.at(int(records["ts_recv"][0]))
                self.counts.at(int(records["ts_recv"][-1]))
                yield int(records["ts_recv"][0]), MarketBatch(self._venue, records)
        except (ItchError, EOFError, OSError) as error:
            raise CaptureBroken(f"{self.path}: {error}") from error
        finally:
            self.counts.messages = decoder.messages
            for kind, count in decoder.counts.items():
                self.counts.count(f"ITCH {kind}", count)


def _midnight(name: str) -> int:
    found = _DAY_IN_NAME.search(name)
    if found is None:
        return 0
    year, month, day = (int(found[part] or found[f"{part}2"]) for part in "ymd")
    try:
        return midnight_of(datetime.date(year, month, day))
    except ValueError:
        return 0
