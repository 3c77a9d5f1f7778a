"""What a channel is to the sender."""

from typing import Protocol

from tradewind.store.alert_deliveries import Delivery


class Undelivered(Exception):
    """An attempt failed. The message says how, without an address, an answer or a secret.

    ``again``: the next attempt may succeed; otherwise the receiver has refused it.
    """

    def __init__(self, problem: str, *, again: bool = True) -> None:
        super().__init__(problem)
        self.again = again


class Sender(Protocol):
    """One way to people."""

    name: str

    async def send(self, delivery: Delivery) -> None:
        """Make one attempt, within the time that the sender was given.

        Raises:
            Undelivered: it was not taken, or the answer was lost.
        """
        ...
