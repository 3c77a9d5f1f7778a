"""Settings that every strategy has. A strategy adds its own fields in a subclass."""

import enum

import msgspec

from tradewind.model.identifiers import InstrumentId, Venue, instrument_id


class Policy(enum.StrEnum):
    """What a start does when checkpoint and store disagree on positions or orders, or the checkpoint is missing."""

    RESUME = "resume"  # go on with the store's positions; cancel the orders that the state does not know
    FLATTEN = "flatten"  # cancel all, close the positions with reduce-only orders, then start with a new state
    ADOPT = "adopt"  # take positions and orders over as they are, and say so to on_adopt
    HOLD = "hold"  # do nothing, not ready, until started with another policy


class StrategySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each field comes from the environment variable ``TRADEWIND_<SERVICE>_<FIELD>`` or keeps its default.

    ``symbols`` is a comma-separated list of the venue's own symbols; empty means all symbols of the platform.
    ``max_orders_per_s`` bounds new orders, with a burst of one second's worth; cancels always pass.
    ``policy`` is for a start whose checkpoint and store disagree. What changes without an order event is saved every
    ``checkpoint_s`` seconds.
    """

    symbols: str = ""
    max_orders_per_s: float = 20.0
    policy: Policy = Policy.RESUME
    checkpoint_s: float = 5.0


def wanted_instruments(symbols: str, platform_symbols: str, venue: Venue) -> tuple[InstrumentId, ...]:
    """The instruments of a strategy, from its own list of symbols or else the platform's."""
    names = [name.strip() for name in (symbols or platform_symbols).split(",")]
    return tuple(dict.fromkeys(instrument_id(name, venue) for name in names if name))
