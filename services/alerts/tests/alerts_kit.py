"""Real receivers for what is told, and a service to run: an HTTP server, a mail server, certificates, presence."""

import asyncio
import contextlib
import datetime
import ipaddress
import pathlib
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tradewind.bus.interface import Bus
from tradewind.runtime.service import ServiceContext
from tradewind.runtime.settings import PlatformSettings
from tradewind.runtime.testing import running as running_service
from tradewind.runtime.testing import service_context
from tradewind.services.alerts.service import SERVICE
from tradewind.services.alerts.settings import Settings
from tradewind.store.alerts import Alert, AlertRepository
from tradewind.store.database import Database
from tradewind.store.presence import Presence, ProcessPresence, ServicePresence, Vitals

WAIT_S: Final = 30.0
LOGIN: Final = ("desk", "correct horse")

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def until(condition: Callable[[], Any], what: str = "") -> None:
    """Wait for something that is true sooner or later; ``condition`` may be a coroutine function."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.02)


async def taken(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="ok")


class Hook:
    """A webhook's receiver. ``answer`` may be changed; all bodies and headers are kept."""

    def __init__(self) -> None:
        self.answer: Answer = taken
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.elsewhere = 0
        self.url = ""
        self.stopping = asyncio.Event()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        self.headers.append(dict(request.headers))
        return await self.answer(request)

    async def _other(self, _request: web.Request) -> web.StreamResponse:
        self.elsewhere += 1
        return web.Response(text="ok")

    def told(self) -> list[tuple[str, str, str]]:
        """(kind, name, subject) of everything that came, in order."""
        return [
            (one["kind"], one["name"], one["subject"])
            for body in self.bodies
            for one in msgspec.json.decode(body)["alerts"]
        ]

    def of(self, name: str) -> list[tuple[str, str]]:
        """(kind, subject) of what came of one condition, in order."""
        return [(kind, subject) for kind, found, subject in self.told() if found == name]

    @contextlib.asynccontextmanager
    async def running(self, trust: ssl.SSLContext | None = None) -> AsyncIterator["Hook"]:
        app = web.Application()
        app.router.add_post("/hook", self._post)
        app.router.add_route("*", "/elsewhere", self._other)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=trust)
            await site.start()
            port = runner.addresses[0][1]
            self.url = f"{'https' if trust else 'http'}://127.0.0.1:{port}/hook"
            yield self
        finally:
            self.stopping.set()
            await runner.cleanup()


class MailServer:
    """A mail server on a port of its own. ``refuse`` is what it answers to a message instead of taking it."""

    def __init__(self, folder: pathlib.Path | None = None, *, tls: bool = False, login: bool = False) -> None:
        self.messages: list[Envelope] = []
        self.refuse = ""
        self.refuse_receivers = ""
        self.secured: list[bool] = []
        self.port = 0
        self._tls = tls
        self._login = login
        self._context = server_context(folder) if folder is not None else None

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.refuse_receivers:
            return self.refuse_receivers
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.refuse:
            return self.refuse
        self.messages.append(envelope)
        self.secured.append(session.ssl is not None or self._tls)
        return "250 taken"

    def texts(self) -> list[str]:
        """The messages as they came."""
        return [bytes(one.content or b"").decode() for one in self.messages]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["MailServer"]:
        options: dict[str, Any] = {}
        if self._context is not None and not self._tls:
            options |= {"tls_context": self._context, "require_starttls": True}
        if self._login:
            options |= {"authenticator": _authenticate, "auth_required": True, "auth_require_tls": not self._tls}
        server = await asyncio.get_running_loop().create_server(
            lambda: self._conversation(options),
            "127.0.0.1",
            0,
            ssl=self._context if self._tls else None,
        )
        try:
            self.port = server.sockets[0].getsockname()[1]
            yield self
        finally:
            server.close()
            await server.wait_closed()

    def _conversation(self, options: dict[str, Any]) -> SMTP:
        with warnings.catch_warnings():
            # It does not know that all of the connection is TLS.
            warnings.simplefilter("ignore", UserWarning)
            return SMTP(self, hostname="mail.test", **options)


def _authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == LOGIN
    return AuthResult(success=good, handled=good)


def make_certificate(folder: pathlib.Path) -> None:
    """A certificate of 127.0.0.1 that is its own authority: ``cert.pem``, ``key.pem``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tradewind test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)


def server_context(folder: pathlib.Path) -> ssl.SSLContext:
    """TLS with the certificate of a folder."""
    if not (folder / "cert.pem").exists():
        make_certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def quick(**changes: Any) -> Settings:
    """Settings by which everything happens at once."""
    values: dict[str, Any] = {
        "evaluate_every_s": 0.05,
        "measure_every_s": 0.05,
        "group_s": 0.0,
        "clear_s": 0.1,
        "service_away_s": 0.1,
        "service_not_ready_s": 0.1,
        "kill_not_flat_s": 0.1,
        "feed_s": 0.1,
        "lag_s": 0.0,
        "unknown_order_s": 0.0,
        "store_away_s": 0.2,
        "channel_s": 0.0,
        "limit_s": 0.0,
        "retry_first_s": 0.05,
        "retry_longest_s": 0.2,
        "flap_openings": 100,
    }
    return Settings(**{**values, **changes})


class Deployment:
    """A database, a Redis, a bus; copies of the service; and processes that tell of themselves."""

    def __init__(self, database: Database, redis_url: str, bus: Bus) -> None:
        self.database = database
        self.redis_url = redis_url
        self.bus = bus
        self.alerts = AlertRepository(database)
        self._presence = Presence(redis_url, timeout_s=5.0)

    @contextlib.asynccontextmanager
    async def copy(self, settings: Settings) -> AsyncIterator[ServiceContext]:
        """One copy of the service, running."""
        platform = PlatformSettings(redis_url=self.redis_url)
        async with (
            service_context(
                SERVICE.name,
                SERVICE.kind,
                settings,
                self.database,
                redis_url=self.redis_url,
                bus=self.bus,
                platform=platform,
            ) as context,
            running_service(SERVICE, context),
        ):
            yield context

    async def tell(
        self,
        name: str,
        state: str = "ready",
        *,
        reason: str = "",
        kind: str = "feed",
        restarts: int = 0,
        lag_s: float = 0.0,
    ) -> None:
        """A process of one service says how it is, for the rest of the test."""
        row = ServicePresence(name=name, kind=kind, state=state, reason=reason, restarts=restarts, since_ns=1)
        vitals = Vitals(loop_lag_s=lag_s, bus_lag=0, queue_fill=0.0, gaps=0)
        process = ProcessPresence(
            process_id=f"host:{name}", host="host", pid=1, version="1", since_ns=1, services=(row,), vitals=vitals
        )
        assert await self._presence.tell(process, ttl_s=300)

    async def gone(self, name: str) -> None:
        """Its process is not there any more."""
        assert await self._presence.forget(f"host:{name}")

    async def find(self, name: str) -> list[Alert]:
        """All alerts of a name, the resolved ones too."""
        return [one for one in await self.alerts.newest(unresolved=False) if one.name == name]

    async def comes(self, name: str, state: str, count: int = 1) -> Alert:
        """The only alert of a name, when it is in a state for the ``count``-th time."""
        found: list[Alert] = []

        async def there() -> bool:
            found[:] = await self.find(name)
            return [(one.state, one.count) for one in found] == [(state, count)]

        await until(there)
        return found[0]

    async def close(self) -> None:
        await self._presence.close()
