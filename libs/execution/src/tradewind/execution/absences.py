"""When an order that the venue's queries do not show may be called absent.

One absence is never proof: a request may still be on its way, a view may lag behind, and a client order id may be
another order's by now. So the clock starts when the last send that could have carried the order has ended for certain;
the first query that counts begins the visibility delay later, and a second one, another delay after the first, must
not show the order either. A query that began before its time does not count.

Times are of one monotonic clock, in seconds.
"""

from tradewind.model.identifiers import ClientOrderId


class Absences:
    """What is known of the sends and the queries of orders in doubt."""

    def __init__(self, visibility_delay_s: float) -> None:
        self._delay_s = visibility_delay_s
        self._send_ended_s: dict[ClientOrderId, float] = {}
        self._missed_s: dict[ClientOrderId, float] = {}

    def send_ended(self, name: ClientOrderId, at_s: float) -> None:
        """From here on no byte of ours can reach the venue that did not leave before."""
        self._send_ended_s[name] = at_s
        self._missed_s.pop(name, None)

    def begin(self, name: ClientOrderId, at_s: float) -> None:
        """For an order that nobody here sends: its absence is measured from the first time that it is missed."""
        self._send_ended_s.setdefault(name, at_s)

    def seen(self, name: ClientOrderId) -> None:
        """The venue shows it."""
        self._missed_s.pop(name, None)

    def forget(self, name: ClientOrderId) -> None:
        """Its end is known."""
        self._missed_s.pop(name, None)
        self._send_ended_s.pop(name, None)

    def missed(self, name: ClientOrderId, began_s: float) -> bool:
        """A query that began then does not show it. Returns whether that proves its absence."""
        sent_s = self._send_ended_s.get(name)
        if sent_s is None or began_s <= sent_s + self._delay_s:
            return False
        first_s = self._missed_s.setdefault(name, began_s)
        return began_s >= first_s + self._delay_s

    def next_look_s(self, name: ClientOrderId) -> float:
        """The earliest time at which the beginning of a query can tell more; 0 when any time can."""
        first_s = self._missed_s.get(name)
        if first_s is not None:
            return first_s + self._delay_s
        return self._send_ended_s.get(name, -self._delay_s) + self._delay_s
