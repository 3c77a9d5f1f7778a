"""QuickFIX's threads and sessions; ``fix_sessions`` is how Python uses it."""

from libc.stdint cimport uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector


cdef extern from "tradewind_native/fix_engine.hpp" namespace "tradewind" nogil:
    cdef struct FixItem:
        int kind
        string session
        string bytes

    cdef struct FixCounters:
        uint64_t taken, dropped, waits, wake_ups, queued

    cdef struct FixState:
        cbool logged_on, enabled
        int next_sender, next_target

    cdef struct FixSent:
        cbool written
        int sequence

    cdef cppclass FixEngineImpl:
        FixEngineImpl(const string&, cbool, size_t, size_t, int) except +
        void accept(const string&) except +
        void gap_fill(const string&) except +
        void echo()
        void store_offline()
        void identify(const string&, const string&, const string&) except +
        void listen_on(const string&)
        void start() except +
        void stop(cbool) except +
        vector[FixItem] take(size_t) except +
        FixCounters counters()
        FixSent send(const string&, const string&) except +
        FixState state(const string&) except +
        void logon(const string&) except +
        void logout(const string&, const string&) except +
        void expect(const string&, int) except +
        void set_next_sender(const string&, int) except +


cdef class QuickFix:
    """One initiator or acceptor; see the stub for the details."""

    cdef FixEngineImpl* _engine

    def __cinit__(self, bytes settings, cbool accepts, size_t capacity, size_t most_bytes, int wake_fd):
        cdef string text = settings
        with nogil:
            self._engine = new FixEngineImpl(text, accepts, capacity, most_bytes, wake_fd)

    def __dealloc__(self):
        with nogil:
            del self._engine

    def accept(self, bytes kind):
        """Let application messages of this type in; before the first call all are let in."""
        self._engine.accept(kind)

    def gap_fill(self, bytes kind):
        """Answer resend requests for this type with a gap fill."""
        self._engine.gap_fill(kind)

    def echo(self):
        """Send every message back instead of handing it on."""
        self._engine.echo()

    def store_offline(self):
        """Keep what is sent while logged off, for the peer's resend request."""
        self._engine.store_offline()

    def identify(self, bytes session, bytes username, bytes password):
        """What a Logon must have: added by an initiator, asked for by an acceptor."""
        self._engine.identify(session, username, password)

    def listen_on(self, bytes host):
        """Listen on this IPv4 address alone."""
        self._engine.listen_on(host)

    def start(self):
        """Start QuickFIX's thread."""
        with nogil:
            self._engine.start()

    def stop(self, cbool force):
        """Log out, end the thread; nothing waits for room any more."""
        with nogil:
            self._engine.stop(force)

    def take(self, size_t most):
        """What has happened: (kind, session, bytes) of each, oldest first."""
        cdef vector[FixItem] items
        cdef size_t index
        with nogil:
            items = self._engine.take(most)
        return [(items[index].kind, items[index].session, items[index].bytes) for index in range(items.size())]

    def counters(self):
        """Counters since the start."""
        return self._engine.counters()

    def send(self, bytes session, bytes message):
        """Whether the message was written, and its MsgSeqNum; 0 when it is not stored either."""
        cdef string name = session
        cdef string text = message
        cdef FixSent sent
        with nogil:
            sent = self._engine.send(name, text)
        return sent.written, sent.sequence

    def state(self, bytes session):
        """logged_on, enabled, next_sender, next_target."""
        cdef string name = session
        cdef FixState state
        with nogil:
            state = self._engine.state(name)
        return state.logged_on, state.enabled, state.next_sender, state.next_target

    def logon(self, bytes session):
        """Let the session log on."""
        self._engine.logon(session)

    def logout(self, bytes session, bytes reason):
        """Log the session out and keep it out."""
        self._engine.logout(session, reason)

    def expect(self, bytes session, int number):
        """Set the number wanted next from the peer."""
        self._engine.expect(session, number)

    def set_next_sender(self, bytes session, int number):
        """Set the number sent next."""
        self._engine.set_next_sender(session, number)
