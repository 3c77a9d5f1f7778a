"""Ending clients of aiokafka in bounded time, whatever the broker does.

A client ends politely: a producer delivers what it holds, a consumer leaves its group. Towards a broker that is away or
frozen either may take for ever; then the connections are closed under it and its tasks are ended one by one, which
needs its insides: it offers no other way.
"""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, Final, NoReturn

from aiokafka.errors import ConsumerStoppedError, ProducerClosed  # type: ignore[import-untyped]

POLITE_S: Final = 3.0
_FORCED_S: Final = 5.0

_log = logging.getLogger(__name__)


async def stop_producer(producer: Any, patience_s: float = POLITE_S) -> None:
    """Deliver what it holds, for so long as that is patient; then fail it."""
    await _within(patience_s, producer.flush())
    producer._message_accumulator.fail_all(ProducerClosed())
    await _within(_FORCED_S, producer.client.close())
    _release_metadata_waiters(producer.client)
    await _within(_FORCED_S, producer._sender.close())
    await _within(_FORCED_S, producer.stop())


async def stop_consumer(consumer: Any, patience_s: float = POLITE_S) -> None:
    """Leave the group, for so long as that is patient; then let the broker find out."""
    await _within(patience_s, consumer.stop())
    if consumer._coordinator is not None:
        # A commit that is under way would be tried again for ever.
        consumer._coordinator._send_req = _refused
    await _within(_FORCED_S, consumer._client.close())
    _release_metadata_waiters(consumer._client)
    left = [task for task in _tasks_of(consumer) if task is not None and not task.done()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=_FORCED_S)


def _tasks_of(consumer: Any) -> list[asyncio.Task[Any] | None]:
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    names = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_reset_committed_task")
    return [
        *(getattr(coordinator, name, None) for name in names),
        *([fetcher._fetch_task, *fetcher._pending_tasks] if fetcher is not None else ()),
    ]


def _release_metadata_waiters(client: Any) -> None:
    # Closing the client ends the task that would have answered them.
    waiting = client._md_update_fut
    if waiting is not None and not waiting.done():
        waiting.set_result(False)


async def _refused(_request: object) -> NoReturn:
    raise ConsumerStoppedError


async def _within(limit_s: float, ending: Awaitable[object]) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await ending
    except asyncio.CancelledError:
        # Unless it is we who are cancelled, it is one of the client's own tasks, which it awaits after cancelling it.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
    except Exception as error:
        _log.debug("a client did not end in order: %r", error)
