"""How the members of a group agree who reads which partition, and how outsiders ask them what they hold.

The broker alone decides who *may* read: a group's queue has one active consumer, and a second one waits for the first
to leave. So a wrong idea about who is there costs time, never order. But the broker would give every partition to the
first member. Therefore the members talk: each has a queue of its own, which dies with its connection, bound to an
exchange under the name of topic and group. All reckon the same shares from the same list of members, and a member
leaves what is another's. Whether another is still there the broker says: it returns what is sent to a dead queue.

=======  ==================================================================================================
hello    "I have come": to all. Each answers when it has left what is the newcomer's.
here     "and so have I": the answer, with all whom the sender knows
ping     to each, every second; whom it does not reach has gone
bye      "I go, and have left everything": to all
ask      from outside: what do you hold? Answered with ``held``, messages by partition that are not committed
=======  ==================================================================================================
"""

import asyncio
import contextlib
import secrets
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import aiormq.abc
import msgspec
from aiormq.channel import Channel
from aiormq.exceptions import PublishError
from pamqp import commands as spec

from tradewind.bus.rabbitmq_link import RPC_TIMEOUT_S, LinkLost, RabbitMQLink, close_channel, losses
from tradewind.bus.rabbitmq_topology import RabbitMQTopology

PING_S: Final = 1.0

_INTRODUCTION_S: Final = 3.0
"""How long a newcomer waits for those who are there; one of them may be frozen."""
_ANSWERS_S: Final = 1.0
_LEAVE_S: Final = 3.0
_WAITING_MESSAGES: Final = 1_000
"""What may wait for a frozen member; its ``ping`` messages then drop the oldest."""


class Word(msgspec.Struct, omit_defaults=True):
    """What members say to each other."""

    kind: str
    sender: str
    members: list[str] = []
    held: dict[int, int] = {}


_decoder: Final = msgspec.msgpack.Decoder(Word)


def shares(members: Sequence[str], partitions: int) -> dict[int, str]:
    """Whose each partition is: evenly, the same for everyone who knows the same members, and with few moves.

    Each partition goes to the member that a hash of both puts first, of those who have not had their share yet.
    """
    if not members:
        return {}
    fair, more = divmod(partitions, len(members))
    counts = dict.fromkeys(members, 0)
    result = {}
    for partition in range(partitions):
        open_to = [m for m in members if counts[m] < fair or (counts[m] == fair and more > 0)]
        chosen = max(open_to, key=lambda member: (zlib.crc32(f"{member}/{partition}".encode()), member))
        if counts[chosen] == fair:
            more -= 1
        counts[chosen] += 1
        result[partition] = chosen
    return result


class Membership:
    """One member of a group, from ``join`` to ``leave``."""

    def __init__(
        self,
        link: RabbitMQLink,
        topology: RabbitMQTopology,
        topic: str,
        group: str,
        held: Callable[[], Mapping[int, int]],
    ) -> None:
        self.changed = asyncio.Event()
        """Somebody came or went, or the channel broke."""
        self.broken = False
        self._id = secrets.token_hex(8)
        self._link = link
        self._topology = topology
        self._place = place_of(topic, group)
        self._held = held
        self._queue = f"{link.settings.prefix}member.{self._id}"
        self._others: set[str] = set()
        self._introduced = asyncio.Event()
        self._joined = False
        self._answered: set[str] = set()
        self._to_greet: set[str] = set()
        self._channel: Channel | None = None

    async def join(self, somebody_is_there: bool) -> None:
        """Say hello, and wait until those who are there have made room, or have had their time.

        Raises:
            LinkLost: the connection broke.
        """
        channel = self._channel = await self._link.channel(confirms=True)
        channel.closing.add_done_callback(self._broke)
        channel.on_consumer_cancel_callbacks.add(self._broke)
        with losses():
            arguments: dict[str, Any] = {"x-max-length": _WAITING_MESSAGES}
            await channel.queue_declare(self._queue, exclusive=True, arguments=arguments, timeout=RPC_TIMEOUT_S)
            await channel.basic_consume(self._queue, self._heard, no_ack=True, timeout=RPC_TIMEOUT_S)
            await channel.queue_bind(self._queue, self._topology.members, self._place, timeout=RPC_TIMEOUT_S)
        await self._tell_all(Word("hello", self._id))
        if somebody_is_there:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTRODUCTION_S):
                    await self._introduced.wait()
        self._joined = True
        await self.greet()

    def mine(self, partitions: int) -> list[int]:
        """The partitions that are this member's now."""
        whose = shares(sorted((self._id, *self._others)), partitions)
        return [partition for partition, member in whose.items() if member == self._id]

    async def greet(self) -> None:
        """Answer the newcomers: what is theirs has been left."""
        while self._to_greet:
            newcomer = self._to_greet.pop()
            await self._tell(newcomer, Word("here", self._id, [self._id, *self._others]))

    async def watch(self) -> None:
        """See to it, for ever, that the others are still there.

        Raises:
            LinkLost: the connection broke.
        """
        while True:
            await asyncio.sleep(PING_S)
            for other in list(self._others):
                await self._tell(other, Word("ping", self._id))

    async def leave(self) -> None:
        """Say bye; what was read must have been left before."""
        channel, self._channel = self._channel, None
        if channel is None:
            return
        with contextlib.suppress(LinkLost, TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                await _publish(channel, self._topology.members, self._place, Word("bye", self._id))
                with losses():
                    await channel.queue_delete(self._queue, timeout=RPC_TIMEOUT_S)
        await close_channel(channel)

    async def _heard(self, message: aiormq.abc.DeliveredMessage) -> None:
        try:
            word = _decoder.decode(message.body)
        except msgspec.DecodeError:
            return
        if word.sender == self._id:
            return
        if word.kind == "ask":
            await self._answer(message.header.properties.reply_to)
            return
        known = word.sender in self._others
        if word.kind == "bye":
            self._gone(word.sender)
            return
        self._others.add(word.sender)
        if word.kind == "hello":
            self._to_greet.add(word.sender)
        elif word.kind == "here":
            self._answered.add(word.sender)
            await self._meet(set(word.members) - self._others - {self._id})
        if self._answered and self._answered >= self._others:
            self._introduced.set()
        if not self._joined:
            # Who holds nothing has nothing to leave first; and two newcomers must not wait for each other.
            await self.greet()
        elif not known or word.kind == "hello":
            self.changed.set()

    async def _meet(self, strangers: set[str]) -> None:
        self._others |= strangers
        for stranger in strangers:
            await self._tell(stranger, Word("hello", self._id))  # Or it has gone, and the broker tells us.

    async def _answer(self, reply_to: str | None) -> None:
        if reply_to and self._channel is not None:
            with contextlib.suppress(LinkLost):
                await _publish(self._channel, "", reply_to, Word("held", self._id, held=dict(self._held())))

    def _gone(self, member: str) -> None:
        if member in self._others:
            self._others.discard(member)
            self._answered.discard(member)
            if self._answered >= self._others:
                self._introduced.set()
            self.changed.set()

    def _broke(self, _reason: object) -> None:
        self.broken = True
        self.changed.set()

    async def _tell_all(self, word: Word) -> None:
        if self._channel is not None:
            await _publish(self._channel, self._topology.members, self._place, word)

    async def _tell(self, member: str, word: Word) -> None:
        if self._channel is None:
            return
        try:
            await _publish(self._channel, "", f"{self._link.settings.prefix}member.{member}", word, mandatory=True)
        except PublishError:
            self._gone(member)


def place_of(topic: str, group: str) -> str:
    """The routing key under which the members of a group hear each other."""
    return f"{topic}/{group}"


async def ask_held(
    link: RabbitMQLink, topology: RabbitMQTopology, topic: str, group: str, wanted: set[int]
) -> dict[int, int]:
    """Messages that the members of a group hold and have not committed, by partition.

    It waits until somebody has spoken of each ``wanted`` partition, or for a second: a member may be frozen.

    Raises:
        LinkLost: the connection broke.
    """
    held: dict[int, int] = {}
    complete = asyncio.Event()

    async def heard(message: aiormq.abc.DeliveredMessage) -> None:
        with contextlib.suppress(msgspec.DecodeError):
            for partition, count in _decoder.decode(message.body).held.items():
                held[partition] = held.get(partition, 0) + count
        if wanted <= held.keys():
            complete.set()

    async with link.short_channel(confirms=True) as channel:
        queue = f"{link.settings.prefix}asking.{secrets.token_hex(8)}"
        await channel.queue_declare(queue, exclusive=True, auto_delete=True, timeout=RPC_TIMEOUT_S)
        await channel.basic_consume(queue, heard, no_ack=True, timeout=RPC_TIMEOUT_S)
        await _publish(channel, topology.members, place_of(topic, group), Word("ask", ""), reply_to=queue)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWERS_S):
                await complete.wait()
    return held


async def _publish(
    channel: Channel,
    exchange: str,
    routing_key: str,
    word: Word,
    *,
    mandatory: bool = False,
    reply_to: str | None = None,
) -> None:
    with losses():
        await channel.basic_publish(
            msgspec.msgpack.encode(word),
            exchange=exchange,
            routing_key=routing_key,
            properties=spec.Basic.Properties(reply_to=reply_to),
            mandatory=mandatory,
            timeout=RPC_TIMEOUT_S,
        )
