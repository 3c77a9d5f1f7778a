"""The service ``alerts``: looks at the platform, keeps what is wrong as alerts, tells people once.

Tasks of one TaskGroup: the lease, the eyes on presence and buses, the rounds, one sender per channel. On cancel the
lease is given back; what was being sent is sent again by the next.
"""

import asyncio
import functools
import ssl
from collections.abc import Iterable

from tradewind.runtime.presence import processes_seen
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.services.alerts.bus_eye import BusEye
from tradewind.services.alerts.channels import Sender
from tradewind.services.alerts.desk import Desk
from tradewind.services.alerts.leading import Leader
from tradewind.services.alerts.mailing import Mailer
from tradewind.services.alerts.outage import Outage
from tradewind.services.alerts.presence_eye import PresenceEye
from tradewind.services.alerts.sending import Deliverer
from tradewind.services.alerts.settings import Settings
from tradewind.services.alerts.transitions import channel_of
from tradewind.services.alerts.webhook import Webhook
from tradewind.store.alert_deliveries import Channel


async def run(context: ServiceContext) -> None:
    """Watch until cancelled."""
    settings: Settings = context.settings
    senders = await asyncio.to_thread(senders_of, settings)  # the system's certificates take a while to read
    leader = Leader(context)
    presence = PresenceEye(functools.partial(processes_seen, context.platform), settings.evaluate_every_s)
    bus = BusEye(context, settings.measure_every_s)
    desk = Desk(
        context,
        channels=channels_of(settings, senders),
        presence=presence,
        bus=bus,
        outage=Outage(context, senders),
        leads=leader.leads,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(leader.run(), name="alerts.lease")
        tasks.create_task(presence.run(), name="alerts.presence")
        tasks.create_task(bus.follow_feeds(), name="alerts.feeds")
        tasks.create_task(bus.follow_strategies(), name="alerts.strategies")
        tasks.create_task(bus.follow_limits(), name="alerts.limits")
        tasks.create_task(bus.measure(), name="alerts.bus")
        for sender in senders:
            tasks.create_task(Deliverer(context, sender, leader.leads).run(), name=f"alerts.{sender.name}")
        tasks.create_task(desk.run(), name="alerts.rounds")


def senders_of(settings: Settings) -> list[Sender]:
    """The channels that have an address.

    Raises:
        StartRefused: ``ca_file`` cannot be used.
    """
    trust = ssl.create_default_context()
    if settings.ca_file:
        try:
            trust.load_verify_locations(cafile=settings.ca_file)
        except OSError as error:
            raise StartRefused(f"TRADEWIND_ALERTS_CA_FILE={settings.ca_file!r} is no PEM file: {error}") from error
    senders: list[Sender] = []
    if settings.webhook_url:
        senders.append(Webhook(settings, trust))
    if settings.smtp_host:
        senders.append(Mailer(settings, trust))
    return senders


def channels_of(settings: Settings, senders: Iterable[Sender]) -> tuple[Channel, ...]:
    """The same, with what each is told of."""
    minimums = {"webhook": settings.webhook_min_severity, "email": settings.email_min_severity}
    return tuple(channel_of(one.name, minimums[one.name]) for one in senders)


SERVICE = Service(name="alerts", kind=ServiceKind.EDGE, run=run, settings=Settings, stop_budget_s=2.0)
