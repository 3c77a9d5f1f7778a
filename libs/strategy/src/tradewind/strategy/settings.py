"""Settings that every strategy has. A strategy adds its own fields in a subclass."""

import enum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from tradewind.model.identifiers import InstrumentId, Venue, instrument_id


class Policy(enum.StrEnum):
    """What a start does when checkpoint and store disagree on positions or orders, or the checkpoint is missing."""

    RESUME = "resume"  # go on with the store's positions; cancel the orders that the state does not know
    FLATTEN = "flatten"  # cancel all, close the positions with reduce-only orders, then start with a new state
    ADOPT = "adopt"  # take positions and orders over as they are, and say so to on_adopt
    HOLD = "hold"  # do nothing, not ready, until started with another policy


def setting(title: str, description: str, *, unit: str = "", **bounds: Any) -> Meta:
    """What a form shows of a setting, for ``Annotated``: its name for people, what it does, its unit and bounds.

    ``bounds`` are those of ``msgspec.Meta`` (``ge``, ``le``, ``gt``, ``lt``, ``max_length``, ``pattern``).
    """
    return Meta(title=title, description=description, extra_json_schema={"unit": unit} if unit else None, **bounds)


def decimal_setting(title: str, description: str, *, unit: str = "", above: str = "0", most: str = "") -> Meta:
    """As ``setting`` for a decimal, which is more than ``above`` and at most ``most``; empty is no bound."""
    bounds = {"unit": unit, "exclusiveMinimum": above, "maximum": most}
    return Meta(title=title, description=description, extra_json_schema={k: v for k, v in bounds.items() if v})


class StrategySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each field comes from the environment variable ``TRADEWIND_<SERVICE>_<FIELD>`` or keeps its default.

    ``symbols`` is a comma-separated list of the venue's own symbols; empty means all symbols of the platform.
    ``max_orders_per_s`` bounds new orders, with a burst of one second's worth; cancels always pass.
    ``policy`` is for a start whose checkpoint and store disagree. What changes without an order event is saved every
    ``checkpoint_s`` seconds.
    """

    symbols: Annotated[
        str,
        setting(
            "Symbols", "Comma-separated, as the venue writes them; empty means all of the platform", max_length=500
        ),
    ] = ""
    max_orders_per_s: Annotated[
        float,
        setting(
            "Orders per second",
            "New orders a second, with a burst of one second's worth; the rest are suppressed and counted",
            unit="1/s",
            gt=0,
            le=10_000,
        ),
    ] = 20.0
    policy: Policy = Policy.RESUME
    checkpoint_s: Annotated[
        float,
        setting(
            "Checkpoint interval",
            "How often a state that changes without an order event is saved",
            unit="s",
            gt=0,
            le=86_400,
        ),
    ] = 5.0


def wanted_instruments(symbols: str, platform_symbols: str, venue: Venue) -> tuple[InstrumentId, ...]:
    """The instruments of a strategy, from its own list of symbols or else the platform's."""
    names = [name.strip() for name in (symbols or platform_symbols).split(",")]
    return tuple(dict.fromkeys(instrument_id(name, venue) for name in names if name))
