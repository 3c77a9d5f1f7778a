"""Settings of the recorder."""

from typing import Literal

import msgspec


class RecorderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``capacity_records`` of 64 bytes may wait for the database; ``flush_interval_s`` is the longest a record waits
    while the database keeps up; ``chunk_records`` go into one transaction; ``book`` is for price levels too."""

    capacity_records: int = 1_000_000
    chunk_records: int = 20_000
    flush_interval_s: float = 0.25
    book: Literal["yes", "no"] = "yes"
