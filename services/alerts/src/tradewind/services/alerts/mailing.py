"""Tells by e-mail: one message to all receivers, over a connection of its own."""

import asyncio
import ssl
import time
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from typing import Final

import aiosmtplib

from tradewind.services.alerts.channels import Undelivered
from tradewind.services.alerts.settings import Settings
from tradewind.services.alerts.wording import text, title
from tradewind.store.alert_deliveries import Delivery

NAME: Final = "email"
_FOR_GOOD: Final = 500
"""SMTP's answers from here on say that the same message will not be taken later either."""
_GOODBYE_S: Final = 1.0


class Mailer:
    """The mail server of the settings."""

    name = NAME

    def __init__(self, settings: Settings, trust: ssl.SSLContext) -> None:
        self._settings = settings
        self._trust = trust

    async def send(self, delivery: Delivery) -> None:
        """See ``Sender.send``. A receiver that the server refuses while it takes others is not told again."""
        settings = self._settings
        secure = settings.smtp_security
        client = aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            use_tls=secure == "tls",
            start_tls=secure == "starttls",
            tls_context=self._trust if secure != "none" else None,
            timeout=settings.send_timeout_s,
        )
        try:
            async with asyncio.timeout(settings.send_timeout_s):
                await client.connect()
                if settings.smtp_user:
                    await client.login(settings.smtp_user, settings.smtp_password)
                await client.send_message(
                    self._message(delivery), sender=settings.email_from, recipients=list(settings.receivers)
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            again = any(one.code < _FOR_GOOD for one in error.recipients)
            raise Undelivered("the mail server refuses the receivers", again=again) from error
        except aiosmtplib.SMTPAuthenticationError as error:
            raise Undelivered("the mail server refuses the login", again=error.code < _FOR_GOOD) from error
        except aiosmtplib.SMTPResponseException as error:
            raise Undelivered(f"the mail server answered {error.code}", again=error.code < _FOR_GOOD) from error
        except TimeoutError as error:
            raise Undelivered("no answer in time") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            # Not its words: they may name the host and what was said.
            raise Undelivered(f"no conversation with the mail server ({type(error).__name__})") from error
        finally:
            await _leave(client)

    def _message(self, delivery: Delivery) -> EmailMessage:
        settings = self._settings
        message = EmailMessage()
        message["From"] = settings.email_from
        message["To"] = ", ".join(settings.receivers)
        message["Subject"] = title(delivery)
        message["Date"] = formatdate(time.time())
        # The same over all attempts: a mailbox keeps one of two that have the same.
        domain = parseaddr(settings.email_from)[1].rpartition("@")[2]
        message["Message-ID"] = f"<{delivery.delivery_id}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text(delivery, settings.page_url) + "\n")
        return message


async def _leave(client: aiosmtplib.SMTP) -> None:
    """End the conversation; what comes of that says nothing about the message."""
    try:
        async with asyncio.timeout(_GOODBYE_S):
            if client.is_connected:
                await client.quit()
    except (aiosmtplib.SMTPException, OSError):
        pass
    finally:
        client.close()
