"""One request as a handler sees it."""

import dataclasses

from tradewind.services.sim_venue.parameters import Parameters


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """``account`` is empty on public endpoints."""

    parameters: Parameters
    account: str
    now_ms: int
