"""FIX 4.2 and 4.4 sessions for asyncio: QuickFIX runs them in its own threads, with its file store and log.

Events come in batches, in the order in which they happened in a session. The bound is ``capacity`` events and
``MOST_BYTES``: when both sides are slow the peer's messages wait and QuickFIX's thread with them; no message is lost,
other events are dropped and counted. Who awaits ``FixEngine.run`` owns it; it ends when the engine was stopped and
everything was delivered. On cancel the rest stays in the queue.

QuickFIX counts a message as received once it is in the queue. Who must not lose one in a crash keeps the number that it
has handled and says ``expect`` before ``start``: the peer then sends the rest again with PossDupFlag.

An acceptor listens on ``FixSession.host``, an IPv4 address, or on every interface when that is empty. QuickFIX 1.15
bounds neither connections nor messages: keep the port behind a firewall, or on loopback behind somebody who does.
"""

import asyncio
import inspect
import ipaddress
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from tradewind_native.fix_events import FixEvent, FixEventKind, SendResult, SessionState

try:
    from tradewind_native.fix_quickfix import QuickFix
except ModuleNotFoundError as error:
    raise ImportError(
        "FIX sessions need QuickFIX, which this build of tradewind-native does not have: install it (Debian: "
        "libquickfix-dev) and build tradewind-native again."
    ) from error
except ImportError as error:
    raise ImportError(
        f"FIX sessions were built with QuickFIX, whose library cannot be loaded here ({error}): install it (Debian: "
        "libquickfix17)."
    ) from error

if TYPE_CHECKING:
    from tradewind_native.fix_quickfix import Counters

MOST_BYTES: Final = 64 * 1024 * 1024
BATCH: Final = 1024
_WHOLE_STORES: Final = {
    "session": re.compile(rb"\d{8}-\d\d:\d\d:\d\d(\.\d+)?\s*$"),
    "seqnums": re.compile(rb"\d{10} : \d{10}\s*$"),
}
_ALL_DAY: Final = "00:00:00"


@dataclass(frozen=True, slots=True)
class FixSession:
    """One session. ``extra`` are QuickFIX's own settings by their names, and win over ours.

    ``host``: the peer's for an initiator; the IPv4 address to listen on for an acceptor, empty is every interface.

    ``dictionary`` is the QuickFIX data dictionary of the version, as an XML file; without one messages are not checked
    against a dictionary and repeating groups cannot be read or sent. ``reset_on_logon`` starts both numbers at 1.
    With ``password`` an initiator identifies itself in its Logon and an acceptor refuses a Logon without it: Username
    and Password (553, 554), in FIX 4.2 the password alone as RawData (95, 96). Neither is ever in a log file or event;
    the initiator's store, whose folder only its user can read, has its own Logon.
    """

    begin_string: str
    sender: str
    target: str
    port: int
    host: str = ""
    dictionary: Path | None = None
    heartbeat_s: int = 30
    reset_on_logon: bool = False
    reconnect_s: int = 5
    extra: Mapping[str, str] = field(default_factory=dict)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def session_id(self) -> str:
        """The session's name in events and calls."""
        return f"{self.begin_string}:{self.sender}->{self.target}"

    def settings(self, kind: str) -> dict[str, str]:
        """The session in QuickFIX's words."""
        place = (
            {"SocketAcceptPort": str(self.port), "SocketReuseAddress": "Y"}
            if kind == "acceptor"
            else {"SocketConnectHost": self.host, "SocketConnectPort": str(self.port)}
        )
        words = {"DataDictionary": str(self.dictionary)} if self.dictionary else {}
        return {
            "BeginString": self.begin_string,
            "SenderCompID": self.sender,
            "TargetCompID": self.target,
            "HeartBtInt": str(self.heartbeat_s),
            "ResetOnLogon": "Y" if self.reset_on_logon else "N",
            "UseDataDictionary": "Y" if self.dictionary else "N",
            **place,
            **words,
            **self.extra,
        }


class FixEngine:
    """The sessions of one process: either an initiator or an acceptor."""

    def __init__(
        self,
        kind: Literal["initiator", "acceptor"],
        sessions: Sequence[FixSession],
        folder: Path,
        *,
        accept_types: frozenset[str] = frozenset(),
        gap_fill_types: frozenset[str] = frozenset(),
        capacity: int = 65536,
        echo: bool = False,
        store_offline: bool = False,
    ) -> None:
        """Read stores and dictionaries; nothing is connected yet.

        ``folder``: store and log of every session, kept between runs. ``accept_types``: MsgTypes of the application
        that are let in, all when empty; others are refused with a BusinessMessageReject. ``gap_fill_types``: MsgTypes
        that a ResendRequest of the peer never brings again once the connection that they went out on is gone; over the
        same connection they are sent again under their number, which the peer counts once. ``echo`` sends every
        application message back at once, but not an order with PossResend whose ClOrdID was seen; for tests of the
        protocol. ``store_offline``: what is sent to a session that is logged off is stored with its number, and the
        peer asks for it after its next Logon.

        Raises:
            ValueError: a setting cannot be used, a dictionary cannot be read or a store file is damaged; it says which.
        """
        if not sessions or capacity < 1:
            raise ValueError("a FIX engine needs at least one session and a queue of at least one event")
        host = _host_of(kind, sessions)
        _check_dictionaries(sessions)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_stores(folder)
        self._wait_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopped = False
        self._listening = False
        try:
            self._engine = QuickFix(_text(kind, sessions, folder), kind == "acceptor", capacity, MOST_BYTES,
                                    self._wait_fd)  # fmt: skip
        except RuntimeError as error:
            os.close(self._wait_fd)
            raise ValueError(f"QuickFIX does not take these FIX sessions: {error}. Check {folder}.") from error
        for name in accept_types:
            self._engine.accept(name.encode())
        for name in gap_fill_types:
            self._engine.gap_fill(name.encode())
        self._engine.listen_on(host.encode())
        if echo:
            self._engine.echo()
        if store_offline:
            self._engine.store_offline()
        for session in sessions:
            if session.password:
                who = (session.session_id, session.username, session.password)
                self._engine.identify(*(text.encode() for text in who))

    def start(self) -> None:
        """Connect or listen, in QuickFIX's thread.

        Raises:
            OSError: the port cannot be listened on.
        """
        try:
            self._engine.start()
        except RuntimeError as error:
            raise OSError(f"the FIX sessions do not start: {error}") from error

    def stop(self, *, force: bool = False) -> None:
        """Log out and end QuickFIX's thread, which takes up to the logout's time; ``force`` does not say good-bye.

        Blocks: on an event loop it belongs into ``asyncio.to_thread``. What is queued can still be taken; every other
        call about a session is an error from here on.
        """
        self._engine.stop(force)
        self._stopped = True
        os.eventfd_write(self._wait_fd, 1)

    def send(self, session_id: str, message: bytes) -> SendResult:
        """Send an application message: fields from ``35=`` on, each ended by SOH, without 8, 9, 10 and session header.

        Header fields 43, 97 and the like pass through. The message is in the store before it is written.

        Raises:
            ValueError: not such a message, or no such session.
        """
        if not message.startswith(b"35=") or not message.endswith(b"\x01"):
            raise ValueError("a FIX message to send starts with 35= and ends with SOH")
        try:
            return SendResult(*self._engine.send(session_id.encode(), message))
        except (IndexError, RuntimeError) as error:
            raise ValueError(f"the FIX message cannot be sent: {error}") from error

    def state(self, session_id: str) -> SessionState:
        """How a session stands.

        Raises:
            IndexError: the engine is stopped, or has no such session.
        """
        return SessionState(*self._engine.state(session_id.encode()))

    def logon(self, session_id: str) -> None:
        """Let a session that was logged out log on again."""
        self._engine.logon(session_id.encode())

    def logout(self, session_id: str, reason: str = "") -> None:
        """Log a session out and keep it out until ``logon``."""
        self._engine.logout(session_id.encode(), reason.encode())

    def expect(self, session_id: str, next_target: int) -> None:
        """Before ``start``: the MsgSeqNum wanted next, so that the peer sends again from there."""
        _check_number(next_target)
        self._engine.expect(session_id.encode(), next_target)

    def set_next_sender(self, session_id: str, number: int) -> None:
        """Before ``start``: the MsgSeqNum sent next."""
        _check_number(number)
        self._engine.set_next_sender(session_id.encode(), number)

    def statistics(self) -> "Counters":
        """Events taken, dropped and queued; ``waits``: how often the peer had to wait for room; wake-ups."""
        return self._engine.counters()

    def take(self, most: int = BATCH) -> list[FixEvent]:
        """What has happened, oldest first; empty when nothing has."""
        return [FixEvent(FixEventKind(kind), name.decode(), text) for kind, name, text in self._engine.take(most)]

    async def run(self, deliver: Callable[[list[FixEvent]], Any]) -> None:
        """Call ``deliver`` with each batch until the engine is stopped and everything is delivered.

        What ``deliver`` returns is awaited when it can be; until then nothing is taken, and the queue's bound holds.
        """
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        loop.add_reader(self._wait_fd, self._wake, woken)
        try:
            while True:
                woken.clear()
                stopped = self._stopped
                if batch := self.take():
                    done = deliver(batch)
                    await (done if inspect.isawaitable(done) else asyncio.sleep(0))
                elif stopped:
                    return
                else:
                    await woken.wait()
        finally:
            loop.remove_reader(self._wait_fd)

    def listen(self, deliver: Callable[[list[FixEvent]], Any]) -> None:
        """Call ``deliver`` with each batch from now on, on this event loop and without a task, until ``unlisten``."""

        def hand_on() -> None:
            if not self._listening:
                return
            if batch := self.take():
                deliver(batch)
                loop.call_soon(hand_on)

        def wake() -> None:
            os.eventfd_read(self._wait_fd)
            hand_on()

        loop = asyncio.get_running_loop()
        self._listening = True
        loop.add_reader(self._wait_fd, wake)
        loop.call_soon(hand_on)

    def unlisten(self) -> None:
        """Call nobody any more; what has happened stays in the queue."""
        self._listening = False
        asyncio.get_running_loop().remove_reader(self._wait_fd)

    def _wake(self, woken: asyncio.Event) -> None:
        os.eventfd_read(self._wait_fd)
        woken.set()

    def __del__(self) -> None:
        """Give the descriptor back, after QuickFIX's thread has ended."""
        if hasattr(self, "_engine"):
            self._engine.stop(True)
            os.close(self._wait_fd)


def _check_number(number: int) -> None:
    if not 1 <= number < 2**31:
        raise ValueError(f"a MsgSeqNum is 1 to 2^31 - 1, not {number}")


def _host_of(kind: str, sessions: Sequence[FixSession]) -> str:
    """The one address that an acceptor listens on."""
    if kind != "acceptor":
        return ""
    hosts = {session.host for session in sessions}
    if len(hosts) > 1:
        raise ValueError("the FIX sessions of one acceptor listen on one address, not on " + ", ".join(sorted(hosts)))
    host = hosts.pop()
    if host:
        ipaddress.IPv4Address(host)
    return host


def _check_dictionaries(sessions: Sequence[FixSession]) -> None:
    for session in sessions:
        if session.dictionary is not None and not session.dictionary.is_file():
            raise ValueError(f"there is no FIX data dictionary {session.dictionary}: name QuickFIX's XML file of it")


def _check_stores(folder: Path) -> None:
    """QuickFIX ends the process at a cut-off .session, and begins at 1 again after a cut-off .seqnums."""
    for suffix, whole in _WHOLE_STORES.items():
        for path in folder.glob(f"*.{suffix}"):
            text = path.read_bytes()
            if text and whole.match(text) is None:
                raise ValueError(
                    f"the FIX store file {path} is cut off: put it back from a copy, or agree on a sequence reset with "
                    "the peer and delete the session's files"
                )


def _text(kind: str, sessions: Sequence[FixSession], folder: Path) -> bytes:
    """QuickFIX's settings file."""
    common = {
        "ConnectionType": kind,
        "StartTime": _ALL_DAY,
        "EndTime": _ALL_DAY,
        "FileStorePath": str(folder),
        "FileLogPath": str(folder),
        "SocketNodelay": "Y",
        # QuickFIX reads this one for all sessions together.
        "ReconnectInterval": str(min(session.reconnect_s for session in sessions)),
    }
    blocks = [("DEFAULT", common), *(("SESSION", session.settings(kind)) for session in sessions)]
    lines: list[str] = []
    for name, settings in blocks:
        lines.append(f"[{name}]")
        for key, value in settings.items():
            if not value.isprintable():
                raise ValueError(f"the FIX setting {key} has a character that cannot be printed: {value!r}")
            lines.append(f"{key}={value}")
    return ("\n".join(lines) + "\n").encode()
