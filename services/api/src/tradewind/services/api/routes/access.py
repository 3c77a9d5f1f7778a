"""What every route works with, and how it gets it."""

import dataclasses
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from tradewind.bus.interface import Bus
from tradewind.model.identifiers import AccountId
from tradewind.runtime.health import HealthBoard
from tradewind.runtime.metrics import ProcessMetrics
from tradewind.runtime.service import ServiceContext
from tradewind.services.api.by_hand.order_entry import ManualIds
from tradewind.services.api.by_hand.replacing import Replacer
from tradewind.services.api.logins.auditing import AuditTrail
from tradewind.services.api.logins.login_desk import LoginDesk
from tradewind.services.api.logins.throttling import Throttle
from tradewind.services.api.settings import ApiSettings
from tradewind.services.api.stream.composing import Composer
from tradewind.services.api.stream.streaming import StreamHub
from tradewind.services.api.view_model.queries import StoreQueries
from tradewind.services.api.view_model.state import ViewState
from tradewind.services.api.view_model.system_board import SystemBoard
from tradewind.wire.messages import EventIds, Message
from tradewind.wire.topics import Topic


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """The parts of one running api service."""

    context: ServiceContext
    settings: ApiSettings
    account_id: AccountId
    state: ViewState
    composer: Composer
    queries: StoreQueries
    hub: StreamHub
    board: HealthBoard
    process_metrics: ProcessMetrics
    desk: LoginDesk
    trail: AuditTrail
    throttle: Throttle
    system: SystemBoard
    replacer: Replacer
    event_ids: EventIds = dataclasses.field(default_factory=EventIds)
    manual_ids: ManualIds = dataclasses.field(default_factory=ManualIds)

    def bus_for(self, topic: Topic) -> Bus:
        """The bus of the topic's plane."""
        return self.context.bus_for(topic)

    def log_command(self, message: Message, client: str) -> None:
        """One line for every command that a hand has given."""
        kind = type(message).__name__
        ids = {"event_id": message.event_id, "correlation_id": message.correlation_id}
        self.context.log.info("command", type=kind, client=client, **ids)


def _access(connection: HTTPConnection) -> Access:
    access: Access = connection.app.state.access
    return access


Accessed = Annotated[Access, Depends(_access)]
