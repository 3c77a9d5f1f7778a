"""One request as a handler sees it."""

import dataclasses

from tradewind.services.sim_venue.faults.plans import HONEST, RequestPlan
from tradewind.services.sim_venue.parameters import Parameters


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """``account`` is empty on public endpoints; ``plan`` is what the liar wants of it."""

    parameters: Parameters
    account: str
    now_ms: int
    plan: RequestPlan = HONEST
