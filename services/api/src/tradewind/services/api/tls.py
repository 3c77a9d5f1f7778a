"""TLS of the server: certificate and key from files, read again when they change, so that renewing needs no restart.

One task, owned by the service, looks at the files every ``LOOK_S``. A pair that cannot be read leaves the old one.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Any, Final

from tradewind.runtime.refusals import StartRefused
from tradewind.services.api.settings import ApiSettings

LOOK_S: Final = 5.0


class TlsFiles:
    """A certificate chain with its key, and the context that new connections are made with."""

    def __init__(self, certificate: Path, key: Path, log: Any) -> None:
        """
        Raises:
            StartRefused: the files are not there, or are no pair.
        """
        self._certificate = certificate
        self._key = key
        self._log = log
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        try:
            self._state = self._stamp()
            self.context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise StartRefused(
                f"TRADEWIND_API_TLS_CERTIFICATE={str(certificate)!r}, TRADEWIND_API_TLS_KEY={str(key)!r}: {error}"
            ) from error

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.renew()

    def renew(self) -> bool:
        """Read the files if they have changed; whether new connections get another certificate now."""
        try:
            state = self._stamp()
            if state == self._state:
                return False
            # First into a context that nobody uses: half a pair must not become the server's.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key)
            self.context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as error:
            self._log.warning(f"the new TLS certificate cannot be read, the old one stays: {error}")
            return False
        self._state = state
        self._log.info("TLS certificate renewed")
        return True

    def _stamp(self) -> tuple[int, int]:
        return self._certificate.stat().st_mtime_ns, self._key.stat().st_mtime_ns


def tls_files(settings: ApiSettings, log: Any) -> TlsFiles | None:
    """What the settings name; None: no TLS here.

    Raises:
        StartRefused: the files cannot be used.
    """
    if not settings.tls_certificate:
        return None
    return TlsFiles(Path(settings.tls_certificate).expanduser(), Path(settings.tls_key).expanduser(), log)
