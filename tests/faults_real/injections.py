"""What is injected, where, and in which order: the seed decides all of it; real timing decides what it hits."""

import dataclasses
import random
from collections.abc import Iterator
from typing import Final

from faults_real.fleet import MEMBERS

HOLDER: Final = "execution-holder"
STANDBY: Final = "execution-standby"
_SERVICES: Final = tuple(name for name in MEMBERS if not name.startswith("execution"))
_LINKS: Final = ("broker", "postgres", "redis", "venue-rest", "venue-stream")
_SERVERS: Final = ("broker", "postgres", "redis")

KINDS: Final[dict[str, tuple[tuple[str, ...], float, float]]] = {
    "kill -9": ((HOLDER, HOLDER, HOLDER, STANDBY, "sim-venue", *_SERVICES), 0.0, 0.0),
    "stop and go on": ((HOLDER, HOLDER, STANDBY, "sim-venue", *_SERVICES), 0.2, 3.0),
    "stop past the lease": ((HOLDER, HOLDER), 7.0, 9.0),
    "cut connections": ((*_LINKS, "venue-rest", "postgres"), 0.0, 0.0),
    "refuse connections": (_LINKS, 0.5, 4.0),
    "freeze connections": ((*_LINKS, "venue-rest"), 0.5, 5.0),
    "half-open connections": (_LINKS, 0.0, 0.0),
    "slow connections": ((*_LINKS, "venue-rest"), 1.0, 4.0),
    "restart": (_SERVERS, 0.2, 1.5),
    "kill server": (_SERVERS, 0.2, 1.5),
    "freeze server": (_SERVERS, 0.5, 4.0),
    "fill up": (_SERVERS, 1.0, 3.0),
    "FLUSHALL": (("redis", "redis"), 0.0, 0.0),
    "other lies": (("storm", "blind"), 2.0, 6.0),
    "flood of commands": (("orders.commands",), 0.0, 0.0),
}
"""Kind: its targets (a name that stands twice is hit twice as often), and between which seconds it lasts."""
_PAUSE_S: Final = (0.1, 1.2)
_OVERLAPS: Final = 0.2


@dataclasses.dataclass(frozen=True, slots=True)
class Injection:
    """One fault. ``part`` between 0 and 1 is for how much; ``overlaps``: the next one does not wait for its end."""

    number: int
    kind: str
    target: str
    seconds: float
    pause_s: float
    part: float
    overlaps: bool

    def __str__(self) -> str:
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.kind}: {self.target}{lasts}"


def plan(seed: int, count: int) -> Iterator[Injection]:
    """The injections of a run: every kind of every target once before any comes again."""
    chance = random.Random(seed)
    deck: list[tuple[str, str]] = []
    for number in range(1, count + 1):
        if not deck:
            deck = [(kind, target) for kind, (targets, *_) in KINDS.items() for target in targets]
            chance.shuffle(deck)
        kind, target = deck.pop()
        _, least, most = KINDS[kind]
        yield Injection(
            number=number,
            kind=kind,
            target=target,
            seconds=chance.uniform(least, most),
            pause_s=chance.uniform(*_PAUSE_S),
            part=chance.random(),
            overlaps=chance.random() < _OVERLAPS,
        )
