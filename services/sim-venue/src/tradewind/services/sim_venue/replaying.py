"""Plays a capture: its frames to the stream clients, byte for byte, and to the matching.

One task, owned by the server. It begins when somebody listens to the symbol's depth and waits while nobody does. Order:
that of the file. Bound: bursts of ``BURST`` frames, then it gives way to the loop, and waits for the clients' sockets
when it plays as fast as it can. A damaged file ends the play with an error in the status; nothing hangs.
"""

import asyncio
import collections
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from structlog.typing import FilteringBoundLogger

from tradewind.services.sim_venue import refusals
from tradewind.services.sim_venue.capture import MALFORMED, CaptureBroken, CaptureLine, count_lines, read_capture
from tradewind.services.sim_venue.orders import BUY, SELL
from tradewind.services.sim_venue.public_events import depth_snapshot
from tradewind.services.sim_venue.replay_matching import ReplayMarket
from tradewind.services.sim_venue.settings import Settings
from tradewind.services.sim_venue.stepping import StepGate
from tradewind.services.sim_venue.streams import Payload, StreamHub
from tradewind.services.sim_venue.websocket_frames import stream_of
from tradewind.wire.market_records import RecordArray
from tradewind_native.binance import BinanceDecoder
from tradewind_native.frames import FrameKind, MalformedFrame, UnknownFrame

BURST: Final = 32
MAX_HELD_UPDATES: Final = 4_096
_NS_PER_S: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000
_SHORTEST_SLEEP_S: Final = 0.0005
_SNAPSHOT_START: Final = b'{"lastUpdateId"'


@dataclasses.dataclass(slots=True)
class PlayStatus:
    """Where the play stands. ``frames`` counts the good lines read, a snapshot among them."""

    state: str = "waiting"  # waiting, playing, ended, failed
    frames: int = 0
    frames_sent: int = 0
    frames_total: int | None = None
    malformed: int = 0
    unknown: int = 0
    gaps: int = 0
    error: str = ""
    began_ns: int = 0  # UTC, as ended_ns; 0: not yet
    ended_ns: int = 0

    @property
    def ended(self) -> bool:
        """Whether no further frame will come."""
        return self.state in ("ended", "failed")


class _RecordedSnapshot(msgspec.Struct):
    lastUpdateId: int
    bids: list[list[str]]
    asks: list[list[str]]


class ReplayPlayer:
    """One capture and the market that it feeds."""

    def __init__(
        self,
        settings: Settings,
        market: ReplayMarket,
        instrument: int,
        hub: StreamHub,
        publish_burst: Callable[[Sequence[Payload]], None],
        room: Callable[[], Any],
        log: FilteringBoundLogger,
        gate: StepGate | None = None,
    ) -> None:
        """``room`` is awaited between bursts: it returns when the record of our fills has room. ``gate``: lockstep."""
        self.status = PlayStatus()
        self.finished = asyncio.Event()
        self._counted = asyncio.Event()
        self.started = asyncio.Event()
        self._stopped = asyncio.Event()
        self._pace = _Pace(settings.speed)
        if not settings.hold:
            self.started.set()
        self._settings = settings
        self._market = market
        self._hub = hub
        self._publish_burst = publish_burst
        self._room = room
        self._gate = gate
        self._step_ns = settings.step_ms * _NS_PER_MS
        self._log = log
        listing = market.listing
        self._symbol = listing.symbol
        self._depth_stream = f"{listing.stream}@depth@100ms"
        self._decoder = BinanceDecoder([(listing.symbol, instrument, listing.price_precision, 8)])
        self._names: dict[bytes, str] = {}
        self._held: collections.deque[tuple[int, int, RecordArray]] = collections.deque(maxlen=MAX_HELD_UPDATES)
        self._live = False
        self._step = -1
        self._last_id = 0
        self._recorded = b""
        self._snapshot_reached = asyncio.Event()
        self._said: set[str] = set()

    async def count(self) -> None:
        """Find out how many frames there are to play."""
        self.status.frames_total = await asyncio.to_thread(count_lines, self._settings.capture)
        self._counted.set()

    async def run(self) -> None:
        """Play the capture once."""
        async with asyncio.TaskGroup() as tasks:
            playing = tasks.create_task(self._begin(), name="sim-venue.playing")
            watching = tasks.create_task(self._end_when_stopped(playing), name="sim-venue.stop")
            playing.add_done_callback(lambda _: watching.cancel())
        await self._counted.wait()
        self.status.state = "failed" if self.status.error else "ended"
        self.status.ended_ns = time.time_ns()
        self._log.info("replay ended", **dataclasses.asdict(self.status))
        self.finished.set()

    def stop(self) -> None:
        """End the play where it is, as if the capture ended there."""
        self._stopped.set()

    async def snapshot(self, limit: int) -> bytes:
        """The answer of ``GET /api/v3/depth``: the recorded one once it is reached, later the book as it stands.

        Raises:
            Refused: -1001, none came in time.
        """
        if self._live:
            book = self._market.display.book
            return depth_snapshot(
                self._market.listing, book.sequence, book.levels(BUY, limit), book.levels(SELL, limit)
            )
        try:
            async with asyncio.timeout(self._settings.snapshot_wait_s):
                await self._snapshot_reached.wait()
        except TimeoutError:
            raise refusals.unavailable() from None
        return _cut(self._recorded, limit)

    async def _begin(self) -> None:
        await self._hub.somebody_listens(self._depth_stream)
        await self.started.wait()
        self.status.state = "playing"
        self.status.began_ns = time.time_ns()
        try:
            await self._play(self._settings.capture)
        except CaptureBroken as error:
            self.status.malformed += 1
            self.status.error = str(error)
            self._log.error("the capture cannot be read on", reason=str(error))

    async def _end_when_stopped(self, playing: asyncio.Task[None]) -> None:
        await self._stopped.wait()
        playing.cancel()

    async def _play(self, path: Path) -> None:
        pace = self._pace
        burst: list[CaptureLine] = []
        broken: CaptureBroken | None = None
        lines = self._lines(path)
        while True:
            try:
                line = next(lines, None)
            except CaptureBroken as error:
                # What was read before the damage is still played.
                line, broken = None, error
            wait_s = pace.wait_s(line.ts_recv) if line is not None else 0.0
            step_ends = self._gate is not None and self._ends_step(line)
            if burst and (wait_s or len(burst) == BURST or line is None or step_ends):
                await self._emit(burst)
                burst = []
            if self._gate is not None and step_ends:
                await self._gate.ended(self.status.frames_sent, snapshot=self._live)
            if line is None:
                break
            if wait_s:
                await asyncio.sleep(wait_s)
            burst.append(line)
        if broken is not None:
            raise broken

    def _ends_step(self, line: CaptureLine | None) -> bool:
        """Whether the frames so far are a whole step; remembers to which step the line belongs."""
        before, self._step = self._step, -1 if line is None else line.ts_recv // self._step_ns
        return before not in (-1, self._step)

    def _lines(self, path: Path) -> Iterator[CaptureLine]:
        """The good lines, up to ``duration_s`` after the first."""
        last_ns: int | None = None
        for line in read_capture(path):
            if line is MALFORMED:
                self._malformed("a line without time and frame")
                continue
            if last_ns is None and self._settings.duration_s:
                last_ns = line.ts_recv + int(self._settings.duration_s * _NS_PER_S)
            if last_ns is not None and line.ts_recv > last_ns:
                return
            yield line

    async def _emit(self, burst: list[CaptureLine]) -> None:
        if not self._hub.listens(self._depth_stream):
            paused_s = asyncio.get_running_loop().time()
            await self._hub.somebody_listens(self._depth_stream)
            self._pace.delay(asyncio.get_running_loop().time() - paused_s)
        payloads = self._digest(burst)
        self._publish_burst(payloads)
        self.status.frames_sent += len(payloads)
        if self._settings.speed == 0:
            await self._hub.drained({stream for stream, _ in payloads})
        await self._room()
        await asyncio.sleep(0)

    def _digest(self, burst: list[CaptureLine]) -> list[Payload]:
        """Decode and match a burst; answers what goes to the clients."""
        payloads: list[Payload] = []
        decoder, names = self._decoder, self._names
        for ts_recv, frame in burst:
            try:
                name = stream_of(frame)
            except ValueError:
                self._on_other(ts_recv, frame)
                continue
            before = decoder.pending
            try:
                if decoder.decode(frame, ts_recv) == FrameKind.DEPTH:
                    self._on_depth(before)
            except MalformedFrame as error:
                self._malformed(str(error))
                continue
            except UnknownFrame as error:
                self.status.unknown += 1
                self._say("unknown", str(error))
            self.status.frames += 1
            stream = names.get(name) or names.setdefault(name, name.decode("ascii", "replace"))
            payloads.append((stream, frame))
        self._flush(decoder.pending)
        return payloads

    def _flush(self, count: int) -> RecordArray:
        """Match the first ``count`` pending records; answers the others."""
        records = self._decoder.take()
        if count:
            self._market.on_records(records[:count])
        return records[count:]

    def _on_depth(self, before: int) -> None:
        first, final = self._decoder.first_update_id, self._decoder.final_update_id
        if not self._live:
            self._held.append((first, final, self._flush(before).copy()))
        elif final <= self._last_id:
            # Older than the book: right after the snapshot, or out of order. It is sent, not applied.
            self._flush(before)
        else:
            self._follow(first, final)

    def _follow(self, first: int, final: int) -> None:
        if first > self._last_id + 1:
            self.status.gaps += 1
            self._say("gap", f"update {first} follows {self._last_id}")
        self._last_id = final

    def _on_other(self, ts_recv: int, frame: bytes) -> None:
        if not frame.startswith(_SNAPSHOT_START):
            self._malformed("a frame that is neither a stream event nor a depth snapshot")
            return
        self._flush(self._decoder.pending)
        try:
            msgspec.json.decode(frame, type=_RecordedSnapshot)
            self._decoder.decode_snapshot(frame, self._symbol, ts_recv)
        except (MalformedFrame, msgspec.DecodeError) as error:
            self._malformed(str(error))
            return
        self.status.frames += 1
        self._on_snapshot(self._decoder.final_update_id, frame)

    def _on_snapshot(self, last_id: int, frame: bytes) -> None:
        if self._live and last_id <= self._last_id:
            self._decoder.take()
            return
        self._flush(self._decoder.pending)
        self._last_id = last_id
        for first, final, records in self._held:
            if final > self._last_id:
                self._follow(first, final)
                self._market.on_records(records)
        self._held.clear()
        self._live = True
        self._recorded = frame
        self._snapshot_reached.set()

    def _malformed(self, why: str) -> None:
        self.status.malformed += 1
        self._say("malformed", why)

    def _say(self, kind: str, why: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self._log.warning(f"{kind} in the capture, said once", why=why[:200], frame=self.status.frames)


class _Pace:
    """When each line is due: the recording's own times, made shorter by ``speed``; 0 is at once."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._first_ns: int | None = None
        self._begun_s = 0.0

    def wait_s(self, ts_recv: int) -> float:
        """How long to wait for a line; 0 when it is due."""
        if not self._speed:
            return 0.0
        now_s = asyncio.get_running_loop().time()
        if self._first_ns is None:
            self._first_ns, self._begun_s = ts_recv, now_s
        wait_s = self._begun_s + (ts_recv - self._first_ns) / _NS_PER_S / self._speed - now_s
        return wait_s if wait_s > _SHORTEST_SLEEP_S else 0.0

    def delay(self, pause_s: float) -> None:
        """The play stood still: what follows is due later."""
        self._begun_s += pause_s


def _cut(snapshot: bytes, limit: int) -> bytes:
    """A recorded snapshot with at most ``limit`` levels a side, unaltered if it has no more."""
    book = msgspec.json.decode(snapshot, type=_RecordedSnapshot)
    if max(len(book.bids), len(book.asks)) <= limit:
        return snapshot
    return msgspec.json.encode(_RecordedSnapshot(book.lastUpdateId, book.bids[:limit], book.asks[:limit]))
