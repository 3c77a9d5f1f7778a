"""What limits need besides the orders themselves: counters stored, figures shown, the share of the firm's limit kept.

One task, ``LimitKeeper.run``, owned by the session. Once in a while it stores what risk has to say though no order
moved (a day that began, a new peak), sets the gauges, and asks for or gives back a share of the firm's limit; no order
waits for any of it. On cancel it gives the unused share back; all else is worked out again.
"""

import asyncio
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from tradewind.execution.firm_share import ShareChange, next_change
from tradewind.execution.risk import LimitUse, RiskChecks
from tradewind.model.identifiers import AccountId
from tradewind.runtime.service import ServiceContext
from tradewind.services.execution.order_path import OrderPath
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.firm_allocations import FirmAllocations
from tradewind.store.leases import Lease
from tradewind.store.order_store import LeaseLost
from tradewind.wire.events import LimitsUsed, LimitUsed
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import RISK_LIMITS

if TYPE_CHECKING:
    from prometheus_client import Gauge

_EVERY_S: Final = 1.0
_SOON_S: Final = 0.05
_GIVE_BACK_S: Final = 1.0
_MOST_TOLD: Final = 2_000
_TELL_AGAIN_NS: Final = 5_000_000_000
FIRM: Final = "firm"
"""One deployment is one firm."""


class LimitKeeper:
    """The limits of one account while one lease lasts."""

    def __init__(self, context: ServiceContext, account_id: AccountId, path: OrderPath, lease: Lease) -> None:
        self._context = context
        self._account_id = account_id
        self._path = path
        self._lease = lease
        self._risk: RiskChecks = path.engine.risk
        self._firm = FirmAllocations(context.database, FIRM)
        self._event_ids = EventIds()
        self._told: tuple[LimitUsed, ...] = ()
        self._told_ns = 0
        self._gauges: dict[tuple[str, str], tuple[Gauge, Gauge]] = {}

    async def begin(self) -> None:
        """The share of the firm's limit that this account has; before the first command is taken.

        Raises:
            DatabaseUnavailable, LeaseLost: begin again.
        """
        limit = self._risk.limits.max_firm_notional
        if limit is None:
            return
        await self._firm.set_limit(limit)
        self._risk.firm_share = (await self._firm.state()).share_of(self._account_id)
        await self._keep_share()

    async def run(self) -> None:
        """Look again and again, until cancelled; sooner when an order was refused for want of a share."""
        try:
            await self._keep()
        finally:
            await self._give_back()

    async def _keep(self) -> None:
        shown_s = 0.0
        while True:
            await asyncio.sleep(_SOON_S if self._risk.firm_share is not None else _EVERY_S)
            now_s = time.monotonic()
            if self._risk.firm_wanted or now_s - shown_s >= _EVERY_S:
                await self._keep_share()
            if now_s - shown_s >= _EVERY_S:
                shown_s = now_s
                await self._path.take(self._path.engine.plan_risk)
                self._show()

    async def _keep_share(self) -> None:
        if self._risk.firm_share is None:
            return
        refused, self._risk.firm_wanted = self._risk.firm_wanted, Decimal(0)
        state = await self._firm.state()
        used = self._risk.exposures.account.exposure
        change = next_change(state, self._account_id, self._risk.firm_share, used, refused)
        if change is None:
            return
        await self._change(change)

    async def _change(self, change: ShareChange) -> None:
        """Less counts here before it is told, more only after it was granted."""
        held = self._risk.firm_share
        if held is not None and change.share < held:
            self._risk.firm_share = change.share
        self._risk.firm_share = await self._firm.set_share(
            self._account_id, self._lease, share=change.share, wanted=change.wanted
        )
        self._context.log.info(
            "share of the firm's limit",
            share=str(self._risk.firm_share),
            asked=str(change.share),
            wanted=str(change.wanted),
        )

    async def _give_back(self) -> None:
        """What is not used while nobody runs is of use to others; a crash keeps it until the next start."""
        if self._risk.firm_share is None:
            return
        used = min(self._risk.exposures.account.exposure, self._risk.firm_share)
        try:
            async with asyncio.timeout(_GIVE_BACK_S):
                await self._change(ShareChange(share=used, wanted=used))
        except (TimeoutError, DatabaseUnavailable, LeaseLost) as error:
            self._context.log.warning("share of the firm's limit not given back", reason=str(error))

    def _show(self) -> None:
        """Gauges by scope and limit, and a message for pages; nothing of it is on an order's way."""
        uses = list(self._risk.usage(time.time_ns()))
        self._tell(uses)
        for use in uses:
            used, bound = self._gauges.get((use.scope, use.limit)) or self._new_gauges(use)
            used.set(float(use.used))
            bound.set(float(use.bound))

    def _tell(self, uses: list[LimitUse]) -> None:
        told = tuple(
            LimitUsed(scope=one.scope, name=one.limit, used=one.used, limit=one.bound) for one in uses[:_MOST_TOLD]
        )
        now_ns = time.time_ns()
        # Again after a while: who comes late, or lost a message, must not wait for a change.
        if told == self._told and now_ns - self._told_ns < _TELL_AGAIN_NS:
            return
        self._told, self._told_ns = told, now_ns
        event_id = self._event_ids()
        message = LimitsUsed(
            event_id=event_id,
            correlation_id=event_id,
            causation_id="",
            ts_event=now_ns,
            ts_init=now_ns,
            account_id=self._account_id,
            uses=told,
        )
        self._context.bus_for(RISK_LIMITS).publish_now(RISK_LIMITS, self._account_id, message)

    def _new_gauges(self, use: LimitUse) -> "tuple[Gauge, Gauge]":
        metrics, labels = self._context.metrics, {"scope": use.scope, "limit": use.limit}
        used = metrics.gauge("risk_limit_used", "What is used of a risk limit", **labels)
        bound = metrics.gauge("risk_limit", "The bound of a risk limit", **labels)
        self._gauges[use.scope, use.limit] = used, bound
        return used, bound
