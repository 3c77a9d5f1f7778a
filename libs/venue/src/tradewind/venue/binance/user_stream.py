"""The private stream of one account: a connection's events, in order, in a bounded queue.

Source: Binance spot API, "User Data Streams": a listen key names the stream and must be kept alive; executionReport and
outboundAccountPosition are what we read. The venue sends no event for a refused cancel: the answer to the cancel is it.

Events are decoded in the socket's callback and wait in a queue of MAX_WAITING. What cannot be read or does not fit has
been lost, and that is never passed over: the connection ends with the reason, so that the account is reconciled.
"""

import asyncio
import collections
import logging
import ssl
from collections.abc import Callable
from typing import Final

import msgspec
from picows import WSAutoPingStrategy, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tradewind.model.identifiers import AccountId
from tradewind.model.instruments import Instrument
from tradewind.venue.binance.messages import AccountPosition, ExecutionReport, StreamEventType
from tradewind.venue.binance.namesakes import Namesakes
from tradewind.venue.binance.signing import NS_PER_MS
from tradewind.venue.binance.translation import execution_reports, stream_balances
from tradewind.venue.reports import BalanceReport, Report

_log: Final = logging.getLogger(__name__)

MAX_WAITING: Final = 10_000
MAX_MESSAGE_BYTES: Final = 1024 * 1024
CONNECT_TIMEOUT_S: Final = 5.0
PING_AFTER_S: Final = 20.0
PONG_WITHIN_S: Final = 10.0
_ENDS: Final = frozenset({"listenKeyExpired", "eventStreamTerminated"})

_type_decoder: Final = msgspec.json.Decoder(StreamEventType)
_report_decoder: Final = msgspec.json.Decoder(ExecutionReport)
_position_decoder: Final = msgspec.json.Decoder(AccountPosition)


class StreamBroken(ConnectionError):
    """The connection ended, or an event was lost: what came since is unknown."""


class UserStream(WSListener):
    """One connection. ``instrument_of`` gives the instrument of a symbol, or None where we have none."""

    def __init__(
        self,
        account_id: AccountId,
        instrument_of: Callable[[str], Instrument | None],
        max_waiting: int = MAX_WAITING,
        names: Namesakes | None = None,
    ) -> None:
        self._names = names or Namesakes()
        self._account_id = account_id
        self._instrument_of = instrument_of
        self._max_waiting = max_waiting
        self._waiting: collections.deque[Report] = collections.deque()
        self._broken: str | None = None
        self._fragments = bytearray()
        self._changed = asyncio.Event()
        self._transport: WSTransport | None = None
        self.skipped = 0
        """Events of kinds that we do not read."""

    async def open(self, url: str, ssl_context: ssl.SSLContext | None = None) -> None:
        """Connect.

        Raises:
            OSError, picows.WSError: it cannot be had in time.
        """
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await ws_connect(
                lambda: self,
                url,
                ssl_context=ssl_context,
                websocket_handshake_timeout=CONNECT_TIMEOUT_S,
                max_frame_size=MAX_MESSAGE_BYTES,
                enable_auto_ping=True,
                auto_ping_idle_timeout=PING_AFTER_S,
                auto_ping_reply_timeout=PONG_WITHIN_S,
                auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
            )

    async def next_reports(self, timeout_s: float) -> list[Report]:
        """All that wait, in order; empty after ``timeout_s``.

        Raises:
            StreamBroken: everything that came before the break was given out.
        """
        if not self._waiting and self._broken is None:
            self._changed.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait()
            except TimeoutError:
                return []
        reports = list(self._waiting)
        self._waiting.clear()
        if not reports and self._broken is not None:
            await self._see_off()
            raise StreamBroken(self._broken)
        return reports

    def close(self) -> None:
        """Close the connection at once."""
        self._break("closed by us")

    # -- picows ----------------------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is gone."""
        handshake = transport.close_handshake
        said = handshake.recv if handshake is not None else None
        self._break("the connection was lost" if said is None else f"closed by the venue: {said.code} {said.reason}")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame."""
        kind = frame.msg_type
        if kind is WSMsgType.CLOSE:
            transport.disconnect()
        elif kind is WSMsgType.TEXT and frame.fin:
            self._on_message(frame.get_payload_as_bytes())
        elif kind in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            self._on_fragment(frame)
        elif kind is not WSMsgType.PONG:
            self._break(f"a {kind.name} frame")

    def _on_fragment(self, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.TEXT:
            self._fragments.clear()
        self._fragments += frame.get_payload_as_bytes()
        if len(self._fragments) > MAX_MESSAGE_BYTES:
            self._break("a message that is too large")
        elif frame.fin:
            self._on_message(bytes(self._fragments))

    def _on_message(self, message: bytes) -> None:
        if self._broken is not None:
            return
        try:
            reports = self._reports(message)
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, ValueError, ArithmeticError) as error:
            _log.warning("an event of the private stream cannot be read: %s: %s", type(error).__name__, error)
            self._break(f"an event that cannot be read: {type(error).__name__}: {error}")
            return
        if len(self._waiting) + len(reports) > self._max_waiting:
            self._break(f"more than {self._max_waiting} events wait")
            return
        self._waiting.extend(reports)
        self._changed.set()

    def _reports(self, message: bytes) -> list[Report]:
        event = _type_decoder.decode(message).e
        if event == "executionReport":
            return self._execution(_report_decoder.decode(message))
        if event == "outboundAccountPosition":
            position = _position_decoder.decode(message)
            return [
                BalanceReport(
                    account_id=self._account_id,
                    balances=stream_balances(position.B),
                    snapshot=False,
                    ts_event=position.u * NS_PER_MS,
                )
            ]
        if event in _ENDS:
            self._break(f"the venue says {event}")
        else:
            self.skipped += 1
        return []

    def _execution(self, report: ExecutionReport) -> list[Report]:
        instrument = self._instrument_of(report.s)
        if instrument is None:
            # Its precision is not known here; a mass status asks for it.
            self._break(f"an order in {report.s}, which is not known yet")
            return []
        older = self._names.is_older(report.s, report.C or report.c, report.i, report.created)
        return [*execution_reports(self._account_id, instrument, report, named=not older)]

    async def _see_off(self) -> None:
        """Wait until the connection is really gone, and take its error if it has one: it is the reason."""
        if self._transport is None:
            return
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._transport.wait_disconnected()
        except (OSError, WSError) as error:
            self._broken = f"{self._broken}: {error}"

    def _break(self, reason: str) -> None:
        if self._broken is None:
            self._broken = reason
        self._changed.set()
        if self._transport is not None:
            self._transport.disconnect(graceful=False)
