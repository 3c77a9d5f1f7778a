"""What the liar is asked about, and what it answers. All times are ms of the venue's true clock."""

import msgspec

HONEST_COPIES = (0,)


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One request that is about to be handled. ``endpoint`` is one of ``script.ENDPOINTS``.

    ``client_order_id`` is the name the request is about: of a new order its own, of a cancel or query the order's.
    """

    endpoint: str
    symbol: str = ""
    client_order_id: str = ""


class EventFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One private event that is about to leave. ``kind`` is NEW, TRADE, CANCELED, EXPIRED, TRADE_PREVENTION
    or POSITION (balances, then without an order). ``trade_id`` is 0 unless it is a TRADE."""

    kind: str
    symbol: str = ""
    client_order_id: str = ""
    trade_id: int = 0


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is an error: HTTP status, the venue's code and words, and Retry-After if it is sent."""

    status: int
    code: int
    message: str
    retry_after_s: int | None = None


class Race(msgspec.Struct, frozen=True, kw_only=True):
    """The market trades with the order in the middle of its request.

    ``before_ack``: just after a new order has begun to rest, and the answer still shows it as it was before the trade.
    ``before_cancel``: just before the cancel; nothing is hidden (wholly filled: the cancel is refused, -2011).
    ``after_cancel``: the same, but the answer says that the order was canceled without this trade, and the event of
    the trade leaves ``hold_trade_ms`` later. ``percent`` of what is left trades, in whole steps, at least one.
    """

    when: str
    percent: int
    hold_trade_ms: int = 0


class RequestPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to a request, in this order.

    ``refusal``: it is answered so and not executed. Else, if ``executes``, it is executed ``execute_after_ms`` after
    its arrival (its timestamp is checked again then, as the real venue does), with ``race``. Then, ``answer_after_ms``
    after that: ``answer`` is "send" (the true one, or ``error`` in its place), "lose" (none, the connection stays open
    for ``answer_after_ms``), "cut" (none, the connection is closed) or "double" (sent, and once more, unasked,
    ``again_after_ms`` later). ``view_lag_ms``: a query shows what was so long ago. ``rules`` names the rules that
    decided.
    """

    refusal: Refusal | None = None
    executes: bool = True
    execute_after_ms: int = 0
    race: Race | None = None
    answer: str = "send"
    answer_after_ms: int = 0
    again_after_ms: int = 0
    error: Refusal | None = None
    view_lag_ms: int = 0
    rules: tuple[str, ...] = ()


HONEST = RequestPlan()


class EventPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to an event: each of ``copies_ms`` leaves so long after now; none means it is lost.

    ``holds_back``: everything behind it on its stream waits as well (slow, in order); else later events overtake.
    ``after_events``: it waits until so many later events have left, and at most the time in ``copies_ms``.
    ``cuts``: the connections of the stream are closed before it; what leaves until somebody listens again is lost.
    """

    copies_ms: tuple[int, ...] = HONEST_COPIES
    holds_back: bool = False
    after_events: int = 0
    cuts: bool = False
    rules: tuple[str, ...] = ()


HONEST_EVENT = EventPlan()


class RuleHits(msgspec.Struct, frozen=True, kw_only=True):
    """How often a rule fitted, and how often its lie was told."""

    name: str
    lie: str
    matches: int
    hits: int
