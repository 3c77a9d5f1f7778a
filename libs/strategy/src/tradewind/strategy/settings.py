"""Settings that every strategy has. A strategy adds its own fields in a subclass."""

import msgspec

from tradewind.model.identifiers import InstrumentId, Venue, instrument_id


class StrategySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each field comes from the environment variable ``TRADEWIND_<SERVICE>_<FIELD>`` or keeps its default.

    ``symbols`` is a comma-separated list of the venue's own symbols; empty means all symbols of the platform.
    ``max_orders_per_s`` bounds new orders, with a burst of one second's worth; cancels always pass.
    """

    symbols: str = ""
    max_orders_per_s: float = 20.0


def wanted_instruments(symbols: str, platform_symbols: str, venue: Venue) -> tuple[InstrumentId, ...]:
    """The instruments of a strategy, from its own list of symbols or else the platform's."""
    names = [name.strip() for name in (symbols or platform_symbols).split(",")]
    return tuple(dict.fromkeys(instrument_id(name, venue) for name in names if name))
