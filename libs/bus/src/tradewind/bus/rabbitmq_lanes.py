"""Publishing on the order plane: one lane per partition, many messages under way at a time, never one past another.

Order: a lane sends in the order of ``publish`` and waits for the broker's confirms of up to ``WINDOW`` messages at the
same time. A message that the broker rejects (a group's queue is full) or whose confirm a lost connection took away
stalls the lane: what is under way is waited for, then everything not confirmed is sent again, in its old order. Such
messages may reach other queues twice. Bound: ``WINDOW`` under way; the rest waits in its callers.
When full: one that was rejected looks until every group has room, instead of trying, so that streams are not filled
with repeats. On cancel: a publish that waits for its turn is withdrawn; one under way may be published or not.

A queue that was full may take a message before an earlier one that it has rejected. Therefore each message says which
one comes before it, and readers restore the order (``rabbitmq_order``).
"""

import asyncio
import bisect
import operator
import time
from typing import Final

from aiormq.channel import Channel
from aiormq.exceptions import DeliveryError

from tradewind.bus.envelopes import sealed
from tradewind.bus.interface import BusClosed, Payload
from tradewind.bus.rabbitmq_link import LONGEST_PAUSE_S, PAUSE_S, LinkLost, RabbitMQLink, losses
from tradewind.bus.rabbitmq_messages import properties
from tradewind.bus.rabbitmq_order import message_id
from tradewind.bus.rabbitmq_registry import GroupRegistry
from tradewind.bus.rabbitmq_topology import RabbitMQTopology, queue_state
from tradewind.wire.topics import Topic

WINDOW: Final = 256

_ROOM_AGAIN: Final = 0.75
"""A queue that was full is tried again when it is this full; the broker's own mark is 0.8."""
_FIRST_LOOK_S: Final = 0.02
_LONGEST_LOOK_S: Final = 0.5
_BLIND_RETRY_S: Final = 1.0
_GIVEN_UP: Final = 1_000
_BUS_CLOSED: Final = "the bus is closed; connect again; the message is not published"


class _Entry:
    """One message that is not confirmed yet."""

    __slots__ = ("before", "body", "headers", "key", "number", "turn", "waited")

    def __init__(self, number: int, key: str, headers: dict[str, bytes], body: bytes) -> None:
        self.number = number
        self.before: int | None = None
        self.key = key
        self.headers = headers
        self.body = body
        self.turn: asyncio.Future[None] | None = None
        self.waited = False


_number_of: Final = operator.attrgetter("number")


class Lane:
    """What is on its way to one partition."""

    def __init__(
        self,
        link: RabbitMQLink,
        topology: RabbitMQTopology,
        registry: GroupRegistry,
        topic: Topic,
        partition: int,
        publisher: str,
    ) -> None:
        self.confirmed = 0
        self.waits = 0
        """Publishes that had to wait because a group's queue was full."""
        self._link = link
        self._topology = topology
        self._registry = registry
        self._topic = topic
        self._partition = partition
        self._publisher = publisher
        self._exchange = topology.exchange(topic.name)
        self._channel: Channel | None = None
        self._line: list[_Entry] = []
        self._next = 0
        self._last_sent = -1
        self._given_up: dict[int, int] = {}
        self._under_way = 0
        self._woken = 0  # those whose turn it is, and who have not run yet
        self._window = 1
        self._stalled = True
        self._full = False
        self._closed = False

    async def publish(self, key: str, payload: Payload) -> None:
        """Until the broker has confirmed the message.

        Raises:
            BusClosed: the bus was closed first.
            ValueError: larger than a message may be.
        """
        headers, body = sealed(payload, time.time_ns())
        entry = _Entry(self._next, key, headers, body)
        self._next += 1
        if self._stalled or self._line or self._woken or self._under_way >= self._window:
            await self._wait_for_turn(entry)
        else:
            self._under_way += 1
        while not await self._sent(entry):
            await self._wait_for_turn(entry)

    def close(self) -> None:
        """Everyone who waits gets BusClosed."""
        self._closed = True
        line, self._line = self._line, []
        for entry in line:
            if entry.turn is not None and not entry.turn.done():
                entry.turn.set_exception(BusClosed(_BUS_CLOSED))

    async def _sent(self, entry: _Entry) -> bool:
        # Who fails stays before everyone in the line: between here and its own return to the line nobody is woken.
        if self._stalled and not self._is_first(entry):
            self._under_way -= 1  # Its turn had come before the lane stalled.
            return False
        try:
            if self._stalled:
                await self._recover()
            await self._send(entry)
        except (DeliveryError, LinkLost) as error:
            self._under_way -= 1
            self._window = 1
            self._stalled = True
            if isinstance(error, DeliveryError):
                self._full = True
                for waiting in self._line:
                    self._count_wait(waiting)
            return False
        except BaseException:
            self._give_up(entry)
            self._under_way -= 1
            self._advance()
            raise
        self._under_way -= 1
        self._window = WINDOW
        self.confirmed += 1
        self._advance()
        return True

    def _is_first(self, entry: _Entry) -> bool:
        alone = self._under_way == 1 and not self._woken
        return alone and (not self._line or entry.number < self._line[0].number)

    async def _send(self, entry: _Entry) -> None:
        if self._channel is None:
            raise LinkLost("no channel to RabbitMQ yet")
        if entry.before is None:
            entry.before, self._last_sent = self._last_sent, entry.number
        before = entry.before
        while before in self._given_up:
            before = self._given_up[before]
        named = message_id(self._publisher, entry.number, before)
        with losses():
            await self._channel.basic_publish(
                entry.body,
                exchange=self._exchange,
                routing_key=str(self._partition),
                properties=properties(entry.headers, entry.key, named),
                wait=False,
            )

    def _give_up(self, entry: _Entry) -> None:
        # It may have arrived or not; what is sent from now on does not count on it.
        if entry.before is not None:
            self._given_up[entry.number] = entry.before
            if len(self._given_up) > _GIVEN_UP:
                del self._given_up[next(iter(self._given_up))]

    async def _wait_for_turn(self, entry: _Entry) -> None:
        if self._closed:
            raise BusClosed(_BUS_CLOSED)
        if self._full:
            self._count_wait(entry)
        turn = entry.turn = asyncio.get_running_loop().create_future()
        bisect.insort(self._line, entry, key=_number_of)
        self._advance()
        try:
            if turn.done():
                await asyncio.sleep(0)  # Behind those who were woken before, and have not run yet.
            await turn
        except BaseException:
            self._withdraw(entry, turn)
            self._give_up(entry)
            raise
        self._woken -= 1
        self._under_way += 1

    def _count_wait(self, entry: _Entry) -> None:
        if not entry.waited:
            entry.waited = True
            self.waits += 1

    def _withdraw(self, entry: _Entry, turn: asyncio.Future[None]) -> None:
        if entry in self._line:
            self._line.remove(entry)
        elif turn.done() and not turn.cancelled() and turn.exception() is None:
            self._woken -= 1
        self._advance()

    def _advance(self) -> None:
        # While stalled, one after all others have come back: it recovers, and goes first.
        room = 1 if self._stalled else self._window
        while self._line and self._under_way + self._woken < room:
            turn = self._line.pop(0).turn
            if turn is not None and not turn.done():
                self._woken += 1
                turn.set_result(None)

    async def _recover(self) -> None:
        pause_s = PAUSE_S
        while True:
            try:
                if self._channel is None or self._channel.is_closed:
                    await self._open_channel()
                if self._full:
                    await self._room()
            except LinkLost:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            else:
                self._stalled = self._full = False
                return

    async def _open_channel(self) -> None:
        if self._channel is not None:
            # Perhaps it was closed because somebody deleted the exchange.
            self._link.declared.discard(self._topic.name)
        await self._topology.declare_topic(self._link, self._topic)
        self._channel = await self._link.channel(confirms=True)

    async def _room(self) -> None:
        groups = await self._registry.groups(self._topic.name)
        queues = [self._topology.group_queue(self._topic.name, self._partition, group) for group in groups]
        delay, seen_full = _FIRST_LOOK_S, False
        while await self._is_full(queues):
            seen_full = True
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_LOOK_S)
        if not seen_full:
            # A queue that we do not know, or that has a limit of its own: all that is left is to try, now and then.
            await asyncio.sleep(_BLIND_RETRY_S)

    async def _is_full(self, queues: list[str]) -> bool:
        mark = self._link.settings.queue_limit * _ROOM_AGAIN
        for queue in queues:
            if (state := await queue_state(self._link, queue)) is not None and state[0] >= mark:
                return True
        return False
