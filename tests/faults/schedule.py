"""A schedule: a seed and the faults that are chosen to happen, each at the n-th time that a place is passed.

Its text is the token that replays it: ``7:answer_lost@venue.submit#3+crash@step#411``. The seed alone decides the
workload, all delays and the interleaving; a choice that is taken out changes nothing before it.
"""

import dataclasses
import random
import zlib
from typing import Final

FAULTS: Final[dict[str, tuple[str, ...]]] = {
    "db.commit": ("not_applied", "answer_lost", "crash_before", "crash_after", "slow", "freeze", "away"),
    "db.write": ("not_applied", "answer_lost", "crash_before", "crash_after", "slow", "freeze", "away"),
    "db.read": ("not_applied", "crash_before", "slow", "away"),
    "venue.submit": (
        "unavailable", "refused", "not_executed", "answer_lost", "executed_late", "answer_late", "error_executed",
        "error_not_executed", "crash_before", "crash_after", "freeze", "waits",
    ),
    "venue.cancel": (
        "unavailable", "not_executed", "answer_lost", "executed_late", "answer_late", "error_executed",
        "crash_before", "crash_after", "freeze",
    ),
    "venue.query": ("unavailable", "lags", "slow", "crash_before", "crash_after"),
    "venue.event": ("dropped", "doubled", "late", "stream_broken"),
    "bus.publish": ("doubled", "slow", "crash_before", "crash_after"),
    "bus.receive": ("redelivered", "slow", "crash_after"),
    "bus.commit": ("lost", "crash_before", "crash_after"),
    "step": ("crash", "freeze", "crash_all"),
    "moment": (
        "halt", "cancel_all", "database_away", "stream_broken", "skew", "rest_lags", "queries_away", "external_order",
    ),
}  # fmt: skip
"""Place: what can happen there. ``step`` counts steps of processes, ``moment`` tenths of a second."""
_USUAL: Final[dict[str, int]] = {
    "db.commit": 45, "db.write": 50, "db.read": 45, "venue.submit": 14, "venue.cancel": 7, "venue.query": 25,
    "venue.event": 50, "bus.publish": 90, "bus.receive": 20, "bus.commit": 16, "step": 1_500, "moment": 90,
}  # fmt: skip
"""About how often a place is passed in a schedule: later occurrences are seldom drawn."""
_WEIGHTS: Final[dict[str, int]] = {
    "db.commit": 20, "db.write": 6, "db.read": 3, "venue.submit": 22, "venue.cancel": 8, "venue.query": 7,
    "venue.event": 10, "bus.publish": 5, "bus.receive": 4, "bus.commit": 4, "step": 10, "moment": 10,
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Choice:
    """One fault at the ``number``-th passing (from 1) of a place."""

    fault: str
    place: str
    number: int

    def __str__(self) -> str:
        return f"{self.fault}@{self.place}#{self.number}"

    def part(self, what: int = 0) -> int:
        """Bits of its own, for how long or how much."""
        return zlib.crc32(f"{self}:{what}".encode())


class InvalidToken(ValueError):
    """A text is no token of a schedule."""


@dataclasses.dataclass(frozen=True, slots=True)
class Schedule:
    """What happens in one run."""

    seed: int
    choices: tuple[Choice, ...]

    @property
    def token(self) -> str:
        """The text that replays it."""
        return f"{self.seed}:{'+'.join(str(choice) for choice in self.choices)}"

    @classmethod
    def parse(cls, token: str) -> "Schedule":
        """The schedule of a token.

        Raises:
            InvalidToken: it has another form, or names a fault that does not exist there.
        """
        seed, _, rest = token.partition(":")
        try:
            return cls(int(seed), tuple(_choice(text) for text in rest.split("+") if text))
        except ValueError as error:
            raise InvalidToken(f"{token!r} is no schedule such as 7:crash_after@db.commit#3: {error}") from error

    @classmethod
    def drawn(cls, seed: int) -> "Schedule":
        """The schedule of a number: mostly two to four faults, near commits and sends more than elsewhere."""
        dice = random.Random(seed)
        count = dice.choice((0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6))
        places = dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=count)
        return cls(seed, tuple(sorted({_drawn(dice, place) for place in places})))

    def without(self, left_out: set[int]) -> "Schedule":
        """The same without some of its choices, by index."""
        return Schedule(self.seed, tuple(c for index, c in enumerate(self.choices) if index not in left_out))


def _drawn(dice: random.Random, place: str) -> Choice:
    number = 1 + int(_USUAL[place] * dice.random() ** 1.5)
    return Choice(dice.choice(FAULTS[place]), place, number)


def _choice(text: str) -> Choice:
    fault, _, rest = text.partition("@")
    place, _, number = rest.partition("#")
    if fault not in FAULTS.get(place, ()):
        raise ValueError(f"{fault!r} does not happen at {place!r}")
    return Choice(fault, place, int(number))
