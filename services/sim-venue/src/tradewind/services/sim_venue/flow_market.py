"""A symbol whose matching is our own engine: made flow and the accounts' orders in one price-time queue.

Every change of the book takes the next update id. Trades and best prices are published as they happen, the depth as a
difference each 100 ms of the flow's time, so that a book rebuilt from snapshot and differences is the engine's book.
"""

import collections
from collections.abc import Callable
from typing import Final

from tradewind.services.sim_venue.flow import FlowCancel, FlowGenerator, FlowOrder
from tradewind.services.sim_venue.listings import Listing
from tradewind.services.sim_venue.orders import BUY, SELL, Execution, OrderWatcher, Placement, VenueOrder
from tradewind.services.sim_venue.public_events import (
    Level,
    PublicTrade,
    book_ticker_event,
    depth_event,
    depth_snapshot,
    trade_event,
)
from tradewind_native.matching import MatchingEngine
from tradewind_native.submission import MatchingTimeInForce, SubmitResult, SubmitStatus

NS_PER_MS: Final = 1_000_000
DEPTH_EVERY_NS: Final = 100 * NS_PER_MS
KEPT_TRADES: Final = 1_000
_WALK_DEPTHS: Final = (16, 256, 1_000_000)
_EMPTY: Final = (0, 0)

Publish = Callable[[str, bytes], None]
"""Takes a stream's kind, such as ``trade``, and the event."""
OnFill = Callable[[int, int, int], None]
"""Takes order id, price and size of a maker's fill."""


class FlowMarket:
    """The engine of one symbol, its flow, and what it publishes. ``start_ms`` is the time at which the flow begins."""

    def __init__(
        self,
        listing: Listing,
        generator: FlowGenerator,
        publish: Publish,
        on_fill: OnFill,
        *,
        start_ms: int,
        first_update_id: int = 1,
        first_trade_id: int = 1,
        watcher: OrderWatcher | None = None,
    ) -> None:
        self.listing = listing
        self.events = 0
        self.trades: collections.deque[PublicTrade] = collections.deque(maxlen=KEPT_TRADES)
        self._generator = generator
        self._publish = publish
        self._on_fill = on_fill
        self._watcher = watcher
        self._start_ms = start_ms
        self._engine = MatchingEngine()
        self._own: dict[int, tuple[VenueOrder, int]] = {}
        self._touched: set[tuple[int, int]] = set()
        self._update_id = self._published_id = first_update_id - 1
        self._trade_id = first_trade_id - 1
        self._next_depth_ns = DEPTH_EVERY_NS
        self._now_ns = 0
        self._next_action: FlowOrder | FlowCancel | None = None
        self._top: tuple[Level, Level] = (_EMPTY, _EMPTY)

    @property
    def now_ms(self) -> int:
        """The flow's time."""
        return self._start_ms + self._now_ns // NS_PER_MS

    @property
    def update_id(self) -> int:
        """The id of the last change of the book."""
        return self._update_id

    def open(self) -> None:
        """Make the book. Nobody listens yet, so nothing is published."""
        for order in self._generator.opening():
            self._engine.submit(order.order_id, order.side, order.price, order.size)
            self._generator.rests(order)
            self._told_added(order.order_id, order.side, order.price, order.size)
            self._update_id += 1
        self._published_id = self._update_id
        self._top = self._best()

    def advance(self, until_ns: int, max_events: int) -> int:
        """Let the flow go on to ``until_ns`` from its start; answers the events done, at most ``max_events``."""
        done = 0
        while done < max_events:
            action = self._next_action = self._next_action or self._generator.next_action()
            if self._generator.now_ns > until_ns:
                break
            self._now_ns = self._generator.now_ns
            self._publish_due()
            self._next_action = None
            if isinstance(action, FlowCancel):
                self._cancel_flow(action.order)
            else:
                self._submit_flow(action)
            done += 1
        if done < max_events:
            self.idle(until_ns)
        self.events += done
        return done

    def idle(self, until_ns: int) -> None:
        """Let the time go on without the flow: what the accounts' orders changed is still published."""
        self._now_ns = max(self._now_ns, until_ns)
        self._publish_due()

    def takeable(self, side: int, size: int, owner: int) -> tuple[int, int]:
        """Size and cash that a market order would get, without the owner's own orders."""
        other = SELL if side == BUY else BUY
        own: dict[int, int] = {}
        for order_id, (order, of) in self._own.items():
            if of == owner and order.side == other:
                own[order.price] = own.get(order.price, 0) + self._engine.remaining(order_id)
        for depth in _WALK_DEPTHS:
            levels = self._engine.levels(other, depth)
            got = cash = 0
            for price, resting in levels:
                taken = min(size - got, resting - own.get(price, 0))
                got += taken
                cash += self.listing.notional(price, taken)
            if got == size or len(levels) < depth:
                break
        return got, cash

    def reference_price(self) -> int | None:
        """The last trade's price, else a best price."""
        if self.trades:
            return self.trades[-1].price
        best = self._engine.best_bid() or self._engine.best_ask()
        return best[0] if best else None

    def submit(self, order: VenueOrder, owner: int) -> Placement:
        """Match an account's order; its own resting orders give way (EXPIRE_MAKER)."""
        expired: list[int] = []
        while True:
            result = self._engine.submit(
                order.order_id,
                order.side,
                order.price,
                order.remaining,
                market=order.order_type == "MARKET",
                time_in_force=MatchingTimeInForce[order.time_in_force],
                post_only=order.order_type == "LIMIT_MAKER",
                owner=owner,
                prevent_self_trade=True,
            )
            if result.status is not SubmitStatus.REJECTED_SELF_TRADE:
                break
            maker = self._first_own(SELL if order.side == BUY else BUY, owner)
            self.cancel(maker.order_id)
            expired.append(maker.order_id)
        if result.status is SubmitStatus.REJECTED_POST_ONLY:
            return Placement([], rests=False, would_take=True)
        rests = result.status in (SubmitStatus.ACCEPTED, SubmitStatus.PARTIALLY_FILLED)
        if rests:
            self._own[order.order_id] = (order, owner)
        self._after_submit(order.order_id, order.side, order.price if rests else 0, result)
        executions = [
            Execution(fill.price, fill.size, fill.maker_order_id if fill.maker_order_id > 0 else None)
            for fill in result.fills
        ]
        return Placement(executions, rests, expired_makers=tuple(expired))

    def cancel(self, order_id: int) -> None:
        """Take an account's order out."""
        order, _ = self._own.pop(order_id)
        if self._engine.cancel(order_id):
            self._told_deleted(order_id)
            self._changed({(order.side, order.price)})

    async def snapshot(self, limit: int) -> bytes:
        """The book now."""
        bids, asks = self._engine.levels(BUY, limit), self._engine.levels(SELL, limit)
        return depth_snapshot(self.listing, self._update_id, bids, asks)

    def best(self) -> tuple[Level, Level]:
        """Best bid and ask; (0, 0) for an empty side."""
        return self._top

    def _submit_flow(self, order: FlowOrder) -> None:
        result = self._engine.submit(order.order_id, order.side, order.price, order.size, market=order.price == 0)
        rests = result.status in (SubmitStatus.ACCEPTED, SubmitStatus.PARTIALLY_FILLED)
        if rests:
            self._generator.rests(order)
        self._after_submit(order.order_id, order.side, order.price if rests else 0, result)
        for fill in result.fills:
            if fill.maker_order_id > 0:
                self._on_fill(fill.maker_order_id, fill.price, fill.size)

    def _cancel_flow(self, order: FlowOrder) -> None:
        # An account's order may have filled it after the cancel was decided.
        if self._engine.cancel(order.order_id):
            self._generator.forget(order.order_id)
            self._told_deleted(order.order_id)
            self._changed({(order.side, order.price)})

    def _first_own(self, side: int, owner: int) -> VenueOrder:
        own = [order for order, of in self._own.values() if of == owner and order.side == side]
        return min(own, key=lambda order: -order.price if side == BUY else order.price)

    def _after_submit(self, order_id: int, side: int, rests_at: int, result: SubmitResult) -> None:
        """Prints, and the levels that changed; ``rests_at`` is 0 when nothing rests."""
        other = SELL if side == BUY else BUY
        for fill in result.fills:
            if fill.maker_remaining == 0:
                self._gone(fill.maker_order_id)
            self._trade_id += 1
            trade = PublicTrade(self._trade_id, fill.price, fill.size, side, self.now_ms)
            self.trades.append(trade)
            if self._watcher is not None:
                self._watcher.executed(fill.maker_order_id, fill.size, self._trade_id)
            self._publish("trade", trade_event(self.listing, trade))
        touched = {(other, fill.price) for fill in result.fills}
        if rests_at:
            self._told_added(order_id, side, rests_at, result.remaining)
            touched.add((side, rests_at))
        if touched:
            self._changed(touched)

    def _told_added(self, order_id: int, side: int, price: int, size: int) -> None:
        if self._watcher is not None:
            self._watcher.added(order_id, side, price, size)

    def _told_deleted(self, order_id: int) -> None:
        if self._watcher is not None:
            self._watcher.deleted(order_id)

    def _gone(self, order_id: int) -> None:
        if order_id > 0:
            del self._own[order_id]
        else:
            self._generator.forget(order_id)

    def _changed(self, touched: set[tuple[int, int]]) -> None:
        self._update_id += 1
        self._touched |= touched
        top = self._best()
        if top != self._top:
            self._top = top
            self._publish("bookTicker", book_ticker_event(self.listing, self._update_id, *top))

    def _best(self) -> tuple[Level, Level]:
        return self._engine.best_bid() or _EMPTY, self._engine.best_ask() or _EMPTY

    def _publish_due(self) -> None:
        while self._now_ns >= self._next_depth_ns:
            self._publish_depth(self._start_ms + self._next_depth_ns // NS_PER_MS)
            self._next_depth_ns += DEPTH_EVERY_NS

    def _publish_depth(self, time_ms: int) -> None:
        if self._update_id == self._published_id:
            return
        sides: dict[int, list[Level]] = {BUY: [], SELL: []}
        for side, price in sorted(self._touched):
            sides[side].append((price, self._engine.size_at(side, price)))
        event = depth_event(
            self.listing, time_ms, self._published_id + 1, self._update_id, sides[BUY][::-1], sides[SELL]
        )
        self._publish("depth@100ms", event)
        self._published_id = self._update_id
        self._touched.clear()
