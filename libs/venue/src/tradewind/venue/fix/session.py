"""The sessions of one account: orders written once, answers matched to them, everything else for the private stream.

Events come from QuickFIX's thread to callbacks of the event loop; there is no task here. Order: of one session as it
came. Bound: ``MOST_WAITING`` events for the stream; when nobody reads them they are thrown away and the stream is told
that it was interrupted, so that its reader asks for everything anew. On cancel of a request its answer goes to the
stream alone.
"""

import asyncio
import collections
import itertools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tradewind.venue.adapter import OutcomeUnknown, VenueRejected, VenueUnavailable
from tradewind.venue.fix_dictionaries import dictionary
from tradewind.venue.fix_fields import fields_of

if TYPE_CHECKING:
    from tradewind_native.fix_events import FixEvent

_log: Final = logging.getLogger(__name__)

MOST_WAITING: Final = 65_536
LOGON_TIMEOUT_S: Final = 10.0
ORDER_TYPES: Final = frozenset({"D", "F", "H"})
"""What a resend request of the venue never brings again once the connection is gone that it went out on: a gap fill
stands for it, and the venue is asked instead."""
_REJECTS: Final = ("3", "j")


class FixAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where the sessions are, and who we are there. ``drop_copy``: our CompID in a session that only listens."""

    host: str
    port: int
    begin_string: str
    sender: str
    target: str
    folder: Path
    username: str = ""
    password: str = ""
    drop_copy: str = ""
    heartbeat_s: int = 10
    reset_on_logon: bool = False

    def __repr__(self) -> str:
        """Without the password."""
        return f"FixAddress({self.begin_string}:{self.sender}->{self.target} at {self.host}:{self.port})"


class LoggedOn(NamedTuple):
    """The session for orders is up."""


class LoggedOff(NamedTuple):
    """It is not, or what came was thrown away; ``reason`` says why."""

    reason: str


class FixMessage(NamedTuple):
    """A message of the venue, as bytes and as fields."""

    raw: bytes
    fields: Mapping[int, str]


Happening = LoggedOn | LoggedOff | FixMessage


class FixLink:
    """The initiator. ``open`` connects and stays connected until ``close``."""

    def __init__(self, address: FixAddress) -> None:
        self.address = address
        self._engine: Any = None
        self._kinds: Any = None
        self._session = f"{address.begin_string}:{address.sender}->{address.target}"
        self._logged_on = asyncio.Event()
        self._answers: dict[str, asyncio.Future[FixMessage]] = {}
        self._by_number: dict[int, asyncio.Future[FixMessage]] = {}
        self._happenings: collections.deque[Happening] = collections.deque()
        self._woken = asyncio.Event()
        self._last_words = "no answer"

    async def open(self) -> None:
        """Connect, and wait a while for the logon.

        Raises:
            VenueUnavailable: no logon in time; the sessions go on trying.
            VenueRejected: the files of the sessions cannot be used.
        """
        if self._engine is None:
            await self._start()
        try:
            async with asyncio.timeout(LOGON_TIMEOUT_S):
                await self._logged_on.wait()
        except TimeoutError:
            where = f"{self.address.host}:{self.address.port}"
            raise VenueUnavailable(f"no FIX logon at {where} as {self._session}: {self._last_words}") from None

    async def close(self) -> None:
        """Log out and stop."""
        if self._engine is None:
            return
        engine, self._engine = self._engine, None
        engine.unlisten()
        await asyncio.to_thread(engine.stop)
        self._lose("the client was closed")

    async def ask(
        self, key: str, message: bytes, on_first_byte: Callable[[], None], timeout_s: float, what: str
    ) -> FixMessage:
        """Write a message once and await the first answer whose ClOrdID is ``key``.

        Raises:
            VenueUnavailable: nothing was written.
            VenueRejected: the venue's session refused the message itself.
            OutcomeUnknown: written, and no answer in time.
        """
        if self._engine is None or not self._engine.state(self._session).logged_on:
            raise VenueUnavailable(f"the FIX session {self._session} is not logged on; try again later")
        if key in self._answers:
            raise VenueUnavailable(f"{key} is being asked about already; wait for that answer")
        answer = self._answers[key] = asyncio.get_running_loop().create_future()
        number = 0
        try:
            on_first_byte()
            sent = self._engine.send(self._session, message)
            if sent.sequence == 0:
                raise VenueUnavailable(f"the FIX session {self._session} logged off; nothing was sent")
            number = sent.sequence
            self._by_number[number] = answer
            return await self._answered(answer, timeout_s, what)
        finally:
            del self._answers[key]
            self._by_number.pop(number, None)
            answer.cancel()

    async def next_happenings(self) -> list[Happening]:
        """Wait for what happened since the last call, oldest first."""
        while not self._happenings:
            self._woken.clear()
            await self._woken.wait()
        happened = list(self._happenings)
        self._happenings.clear()
        return happened

    async def _answered(self, answer: "asyncio.Future[FixMessage]", timeout_s: float, what: str) -> FixMessage:
        try:
            async with asyncio.timeout(timeout_s):
                message = await answer
        except TimeoutError:
            raise OutcomeUnknown(f"no answer to the {what} within {timeout_s} s; ask for the order's status") from None
        if message.fields.get(35) in _REJECTS:
            code = message.fields.get(373) or message.fields.get(380) or "0"
            raise VenueRejected(int(code) if code.isdecimal() else 0, message.fields.get(58, "the message was refused"))
        return message

    async def _start(self) -> None:
        from tradewind_native.fix_events import FixEventKind
        from tradewind_native.fix_sessions import FixEngine, FixSession

        address = self.address
        checked_by = await asyncio.to_thread(dictionary, address.begin_string)
        sessions = [
            FixSession(
                address.begin_string, sender, address.target, address.port, host=address.host, dictionary=checked_by,
                heartbeat_s=address.heartbeat_s, reset_on_logon=address.reset_on_logon, reconnect_s=1,
                extra={"ValidateUserDefinedFields": "N"}, username=address.username, password=address.password,
            )
            for sender in (address.sender, address.drop_copy)
            if sender
        ]  # fmt: skip
        try:
            engine = FixEngine("initiator", sessions, address.folder, gap_fill_types=ORDER_TYPES)
        except (ValueError, OSError) as error:
            raise VenueRejected(0, str(error)) from error
        self._kinds = FixEventKind
        self._engine = engine
        engine.listen(self._on_events)
        try:
            await asyncio.to_thread(engine.start)
        except OSError as error:
            raise VenueUnavailable(str(error)) from error

    def _on_events(self, events: "list[FixEvent]") -> None:
        for event in events:
            self._on_event(event)

    def _on_event(self, event: "FixEvent") -> None:
        kinds = self._kinds
        is_orders = event.session_id == self._session
        if event.kind is kinds.MESSAGE:
            self._on_message(event.message)
        elif event.kind is kinds.NOTE:
            self._last_words = event.message.decode("latin-1")[:200]
        elif event.kind is kinds.ADMIN_IN and b"\x0135=3\x01" in event.message:
            self._on_reject(FixMessage(event.message, fields_of(event.message)))
        elif event.kind is kinds.LOGON and is_orders:
            _log.info("FIX session %s is logged on", self._session)
            self._logged_on.set()
            self._tell(LoggedOn())
        elif event.kind is kinds.LOGOUT and is_orders:
            self._lose(f"the FIX session {self._session} is logged off: {self._last_words}")

    def _on_message(self, raw: bytes) -> None:
        message = FixMessage(raw, fields_of(raw))
        if message.fields.get(35) == "j":
            self._on_reject(message)
            return
        answer = self._answers.get(message.fields.get(11, ""))
        if answer is not None and not answer.done():
            answer.set_result(message)
        self._tell(message)

    def _on_reject(self, message: FixMessage) -> None:
        number = message.fields.get(45, "")
        answer = self._by_number.get(int(number)) if number.isdecimal() and len(number) < 10 else None
        _log.warning("the venue refused a FIX message: %s", message.fields.get(58, "")[:200])
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _lose(self, reason: str) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(OutcomeUnknown(f"{reason}; ask for the order's status"))
        # Each try to connect that fails ends in a logout of its own.
        if self._logged_on.is_set():
            self._logged_on.clear()
            self._tell(LoggedOff(reason))

    def _tell(self, happening: Happening) -> None:
        if len(self._happenings) >= MOST_WAITING:
            self._happenings.clear()
            self._happenings.append(LoggedOff("nobody read the private stream in time"))
            if self._logged_on.is_set():
                self._happenings.append(LoggedOn())
        self._happenings.append(happening)
        self._woken.set()


_numbers: Final = itertools.count()


def next_cancel_number() -> int:
    """A number that no cancel of this process had."""
    return next(_numbers)
