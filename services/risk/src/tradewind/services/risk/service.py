"""The service ``risk``: the trading state of every scope, and the kill switches.

Commands are handled one after another in the order of their topic; each is committed after its whole effect, so that
one that was cut short is done again. While the database is away the next command waits. Beside them two tasks of
``KillSwitches`` drive what is engaged.
"""

import asyncio

from tradewind.bus.interface import Delivery, Start
from tradewind.model.identifiers import AccountId
from tradewind.runtime.logging import RateLimitedLog
from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.services.risk.kill_switches import KillSwitches
from tradewind.services.risk.scopes import InvalidRequest
from tradewind.services.risk.settings import Settings
from tradewind.services.risk.trading_states import TradingStates
from tradewind.wire.commands import EngageKillSwitch, ReleaseKillSwitch, SetTradingState
from tradewind.wire.topics import RISK_COMMANDS

GROUP = "risk"


async def run(context: ServiceContext) -> None:
    """Announce what is stored, then obey commands and drive kill switches until cancelled."""
    account_id = AccountId(f"{context.platform.venue}-{context.platform.account}")
    states = TradingStates(context, account_id)
    switches = KillSwitches(context, states, account_id)
    await states.announce_stored()
    await switches.resume()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(switches.follow_reports())
        tasks.create_task(switches.drive())
        await _obey_commands(context, states, switches)


async def _obey_commands(context: ServiceContext, states: TradingStates, switches: KillSwitches) -> None:
    commands = await context.order_bus.subscribe(RISK_COMMANDS, group=GROUP, start=Start.EARLIEST)
    refused = context.metrics.counter("risk_refused_commands", "Commands that could not be obeyed")
    refusals = RateLimitedLog(context.log)
    context.health.set_ready()
    try:
        while True:
            # One at a time: ``commit`` covers all that was received.
            for delivery in await commands.receive(limit=1):
                try:
                    await _obey(states, switches, delivery)
                except InvalidRequest as error:
                    refused.inc()
                    refusals.warning("refused", "command is refused", reason=str(error))
                    await commands.dead_letter(delivery, str(error))
            await commands.commit()
    finally:
        refusals.flush()
        await commands.close()


async def _obey(states: TradingStates, switches: KillSwitches, delivery: Delivery) -> None:
    command = delivery.payload
    if isinstance(command, SetTradingState):
        await states.obey(command)
    elif isinstance(command, EngageKillSwitch):
        await switches.engage(command)
    elif isinstance(command, ReleaseKillSwitch):
        await switches.release(command)
    else:
        raise InvalidRequest(
            f"{type(command).__name__} is no command of this topic; "
            "send SetTradingState, EngageKillSwitch or ReleaseKillSwitch"
        )


SERVICE = Service(name="risk", kind=ServiceKind.ORDER_PATH, run=run, settings=Settings)
