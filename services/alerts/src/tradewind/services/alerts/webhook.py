"""Tells by HTTP: one JSON POST per message, signed, never following a redirect.

``X-Tradewind-Signature`` is ``v1=`` and the hex HMAC-SHA256 of ``<timestamp>.<body>`` with the shared secret, where the
timestamp is that of ``X-Tradewind-Timestamp`` (seconds since the epoch). ``X-Tradewind-Delivery`` is the same over all
attempts: who gets a message twice knows it by that.
"""

import asyncio
import hashlib
import hmac
import ssl
import time
from http import HTTPStatus
from typing import Final

import aiohttp
import msgspec

from tradewind.services.alerts.channels import Undelivered
from tradewind.services.alerts.settings import Settings
from tradewind.services.alerts.wording import document
from tradewind.store.alert_deliveries import Delivery

NAME: Final = "webhook"
READ_BYTES: Final = 1_024
"""So much of an answer is read at most, to let the connection end in order."""
_TRY_AGAIN: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


class Webhook:
    """The webhook of the settings."""

    name = NAME

    def __init__(self, settings: Settings, trust: ssl.SSLContext) -> None:
        self._settings = settings
        self._trust = trust

    async def send(self, delivery: Delivery) -> None:
        """See ``Sender.send``."""
        body = msgspec.json.encode(document(delivery, self._settings.page_url))
        try:
            async with asyncio.timeout(self._settings.send_timeout_s):
                status = await self._post(body, self._headers(delivery, body))
        except TimeoutError as error:
            raise Undelivered("no answer in time") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise Undelivered("its certificate is not trusted") from error
        except (aiohttp.ClientError, OSError) as error:
            # Not its words: they may have the address, and the address may be a secret.
            raise Undelivered(f"no connection ({type(error).__name__})") from error
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            again = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _TRY_AGAIN
            redirects = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
            words = "it redirects, which is not followed" if redirects else "it refuses"
            raise Undelivered(f"answered {status}{'' if again else f': {words}'}", again=again)

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        # A session for each message: they are rare, and an idle connection would be dead by the next.
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False) as session,
            session.post(
                self._settings.webhook_url, data=body, headers=headers, allow_redirects=False, ssl=self._trust
            ) as response,
        ):
            await response.content.read(READ_BYTES)
            return response.status

    def _headers(self, delivery: Delivery, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "tradewind-alerts",
            "X-Tradewind-Delivery": delivery.delivery_id,
        }
        if self._settings.webhook_secret:
            stamp = str(int(time.time()))
            headers["X-Tradewind-Timestamp"] = stamp
            headers["X-Tradewind-Signature"] = signature(self._settings.webhook_secret, stamp, body)
        return headers


def signature(secret: str, stamp: str, body: bytes) -> str:
    """What the signature header holds for a body that is sent at ``stamp``."""
    return "v1=" + hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
