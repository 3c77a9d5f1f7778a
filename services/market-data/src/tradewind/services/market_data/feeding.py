"""The feed of one venue: its batches to the bus, its state to health, its counters to the metrics.

``on_records`` runs in the socket's callback and does only what must be done per read. Everything else is done by
``tick``, a few times a second, between two reads: the books are then exactly as of the last batch that was published.
"""

import collections
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from tradewind.model.identifiers import InstrumentId, Venue
from tradewind.model.instruments import Instrument
from tradewind.runtime.service import ServiceContext
from tradewind.services.market_data.last_seen import LastSeen
from tradewind.services.market_data.settings import MarketDataSettings
from tradewind.venue.adapters import FeedClient
from tradewind.wire.events import FeedStatusChanged
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordArray
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import MD_STATUS, market_events

if TYPE_CHECKING:
    from prometheus_client import Counter

MAX_RECENT_BATCHES: Final = 16_384
WHOLE_EVERY_S: Final = 2.0
"""A quiet instrument's last values are back so soon after Redis lost them."""
_NS_PER_S: Final = 1_000_000_000


class VenueFeed:
    """See the module; it is the ``FeedHandler`` of the adapter."""

    def __init__(self, context: ServiceContext, client: FeedClient, instruments: Sequence[Instrument]) -> None:
        settings: MarketDataSettings = context.settings
        self._context = context
        self._client = client
        self._ids = [instrument.instrument_id for instrument in instruments]
        self._venue = Venue(context.platform.venue)
        self._topic = market_events(self._venue)
        self._key = str(self._venue)
        self._publish = context.market_bus.publish_now
        self._depth = settings.snapshot_depth
        self._snapshot_interval_ns = int(settings.snapshot_interval_s * _NS_PER_S)
        self._event_ids = EventIds()
        self._last_seen = LastSeen(instruments)
        self._next_whole_s = 0.0
        self._recent: collections.deque[RecordArray] = collections.deque(maxlen=MAX_RECENT_BATCHES)
        self._states: dict[InstrumentId, str] = dict.fromkeys(self._ids, "CONNECTING")
        self._published_records = 0
        self._ts_event = 0
        self._snapshot_ts_event: dict[InstrumentId, int] = {}
        self._snapshot_time: dict[InstrumentId, int] = {}
        self._said_difference = False
        self._latency = context.metrics.latency("receive_to_publish", "First byte seen to batch on the bus")
        self._counted: dict[str, float] = {}
        self._counters = self._make_counters()
        self._in_sync_gauge = context.metrics.gauge("books_in_sync", "Books that are right now")

    # -- from the adapter ------------------------------------------------------------------------------------------

    def on_records(self, records: RecordArray) -> None:
        """One batch to the bus."""
        self._publish(self._topic, self._key, MarketBatch(self._venue, records))
        self._published_records += len(records)
        self._recent.append(records)
        self._latency.record(time.time_ns() - records["ts_recv"].item(0))

    def on_feed_status(self, instrument_id: InstrumentId | None, state: str, detail: str) -> None:
        """The state of one instrument's feed, or of the whole connection."""
        context, now = self._context, time.time_ns()
        log = context.log.warning if state in ("GAP", "STALE", "DISCONNECTED") else context.log.info
        log("feed", instrument=instrument_id or "all", state=state, detail=detail)
        message = FeedStatusChanged(
            event_id=self._event_ids(),
            correlation_id=f"feed:{self._venue}",
            causation_id="",
            ts_event=now,
            ts_init=now,
            venue=self._venue,
            instrument_id=instrument_id,
            state=state,
            detail=detail,
        )
        self._publish(MD_STATUS, instrument_id or self._key, message)
        for each in [instrument_id] if instrument_id else self._ids:
            self._states[each] = state
        self._tell_health(detail)

    # -- a few times a second --------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Counters, snapshots for late joiners, last values."""
        self.count()
        batches = list(self._recent)
        self._recent.clear()
        if batches:
            self._ts_event = max(self._ts_event, batches[-1]["ts_event"].item(-1))
        for instrument_id in self._ids:
            if not self._context.platform.lockstep:
                # In lockstep nobody joins late, and the real time would show in the data.
                self._maybe_snapshot(instrument_id)
        await self._remember(self._last_seen.update(batches))

    def count(self) -> None:
        """Bring the metrics up to the adapter's own counters."""
        for name, (counter, value) in self._counters.items():
            now = value()
            if now > (before := self._counted.get(name, 0)):
                counter.inc(now - before)
                self._counted[name] = now
        self._in_sync_gauge.set(sum(self._client.in_sync(each) for each in self._ids))
        if (difference := self._client.first_difference) is not None and not self._said_difference:
            self._said_difference = True
            self._context.log.error("the book differs from the exchange's own ticker", first=difference)

    def _maybe_snapshot(self, instrument_id: InstrumentId) -> None:
        """Publish the book in the ordered stream, so that whoever has none or lost it begins here."""
        if not self._client.in_sync(instrument_id):
            self._snapshot_ts_event.pop(instrument_id, None)
            return
        now = time.time_ns()
        if (last := self._snapshot_ts_event.get(instrument_id)) is None:
            # The adapter has just published its own snapshot of the book.
            self._snapshot_ts_event[instrument_id], self._snapshot_time[instrument_id] = self._ts_event, now
            return
        interval = self._snapshot_interval_ns
        if self._ts_event - last < interval and now - self._snapshot_time[instrument_id] < interval:
            return
        self._snapshot_ts_event[instrument_id], self._snapshot_time[instrument_id] = self._ts_event, now
        records = self._client.book(instrument_id).snapshot_records(self._ts_event or now, now, self._depth)
        self._publish(self._topic, self._key, MarketBatch(self._venue, records))
        self._published_records += len(records)

    async def _remember(self, changed: dict[str, dict[str, Any]]) -> None:
        """Last values to Redis: what changed; now and then, and after a failure, all: Redis may have forgotten."""
        now_s = time.monotonic()
        if now_s >= self._next_whole_s:
            changed = self._last_seen.values()
        if not changed:
            return
        if not await self._context.last_values.put_many(changed):
            self._next_whole_s = 0.0
        elif now_s >= self._next_whole_s:
            self._next_whole_s = now_s + WHOLE_EVERY_S

    # -- inside ----------------------------------------------------------------------------------------------------

    def _tell_health(self, detail: str) -> None:
        waiting = [f"{each} is {state}" for each, state in self._states.items() if state != "LIVE"]
        if not waiting:
            self._context.health.set_ready()
        else:
            self._context.health.set_not_ready(f"{', '.join(waiting[:5])} ({detail})")

    def _make_counters(self) -> "dict[str, tuple[Counter, Callable[[], float]]]":
        client, statistics, bus = self._client, self._client.statistics, self._context.market_bus
        counter = self._context.metrics.counter
        return {
            "market_records": (counter("market_records", "Market records published"), lambda: self._published_records),
            "market_trades": (counter("market_trades", "Trades published"), lambda: statistics.trades),
            "market_quotes": (counter("market_quotes", "Best bid and ask pairs published"), lambda: statistics.tickers),
            "market_dropped_records": (
                counter("market_dropped_records", "Market records that the bus dropped before slow readers"),
                lambda: bus.statistics().dropped_records,
            ),
            "input_frames": (
                counter("input_frames", "Messages received from the venue, or played by it"),
                lambda: statistics.frames,
            ),
            "input_malformed": (
                counter("input_malformed", "Messages that could not be read"),
                lambda: statistics.malformed,
            ),
            "input_unknown": (counter("input_unknown", "Messages of an unknown kind"), lambda: statistics.unknown),
            "input_out_of_order": (
                counter("input_out_of_order", "Depth updates that came late or twice"),
                lambda: statistics.out_of_order,
            ),
            "book_gaps": (counter("book_gaps", "Holes in the depth updates"), lambda: statistics.gaps),
            "book_snapshots": (counter("book_snapshots", "Depth snapshots taken"), lambda: statistics.snapshots),
            "book_compared": (
                counter("book_compared", "Books compared with the ticker of the same update"),
                lambda: client.compared,
            ),
            "book_equal": (counter("book_equal", "Comparisons that were equal"), lambda: client.equal),
            "feed_connections": (
                counter("feed_connections", "Connections made to the venue's streams"),
                lambda: statistics.connections,
            ),
            "feed_stale": (
                counter("feed_stale", "Connections given up because nothing came"),
                lambda: statistics.stale,
            ),
        }
