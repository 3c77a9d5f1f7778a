"""The service ``execution``: owns one venue account, one session after another."""

import asyncio

from tradewind.model.identifiers import AccountId
from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.runtime.venue_connecting import execution_client_of, venue_limits
from tradewind.services.execution.refusing import Carried, Refuser
from tradewind.services.execution.session import Session
from tradewind.services.execution.settings import Settings
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.order_store import LeaseLost, StoreConflict
from tradewind.wire.messages import EventIds

_BEGIN_AGAIN = (DatabaseUnavailable, LeaseLost, StoreConflict)


async def run(context: ServiceContext) -> None:
    """Run sessions until cancelled; while the store is away new orders are refused in words."""
    account_id = AccountId(f"{context.platform.venue}-{context.platform.account}")
    event_ids = EventIds()
    carried = Carried()
    leases_lost = context.metrics.counter("leases_lost", "Leases that were taken over or too short to send under")
    async with venue_limits(context, for_orders=True) as limits:
        while True:
            client = execution_client_of(context.platform, limits, context.settings.send_margin_s)
            session = Session(context, account_id, client, carried, event_ids)
            away = False
            try:
                await session.run()
            except* _BEGIN_AGAIN as group:
                away = group.subgroup((LeaseLost, StoreConflict)) is None
                if group.subgroup(LeaseLost) is not None:
                    leases_lost.inc()
                reason = str(_first(group))
                context.log.warning("order path begins again", reason=reason)
                context.health.set_not_ready(reason)
            finally:
                await client.close()
            if away and session.leads_until:
                refuser = Refuser(context, account_id, carried, event_ids, session.leads_until)
                await _refuse_until_available(context, refuser)
            else:
                # Who stands by or has lost the lease does not speak for the account: another one takes its commands.
                await context.database.wait_until_available()


async def _refuse_until_available(context: ServiceContext, refuser: Refuser) -> None:
    available = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(refuser.refuse_until(available))
        await context.database.wait_until_available()
        available.set()


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


SERVICE = Service(name="execution", kind=ServiceKind.ORDER_PATH, run=run, settings=Settings)
