"""The client's log, made readable: it repeats the same line ten times a second for as long as a broker is away."""

import logging
import time
from typing import Final

REPEAT_S: Final = 30.0
"""How long the same line is left out."""

_LOGGERS: Final = (
    "aiokafka",
    "aiokafka.admin.client",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.consumer",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.producer",
    "aiokafka.producer.sender",
)
_MOST_LINES: Final = 256


class OnceInAWhile(logging.Filter):
    """Lets the same line pass once in ``REPEAT_S``."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be written."""
        line, now = record.getMessage(), time.monotonic()
        if now - self._said.get(line, -REPEAT_S) < REPEAT_S:
            return False
        if len(self._said) >= _MOST_LINES:
            self._said.clear()
        self._said[line] = now
        return True


_filter: Final = OnceInAWhile()


def quieten_client() -> None:
    """Filter the client's loggers; doing it twice changes nothing."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_filter)
