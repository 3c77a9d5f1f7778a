"""Channels against real servers that are slow, broken, hostile or strict."""

import asyncio
import email
import email.policy
import hashlib
import hmac
import pathlib
import ssl

import msgspec
import pytest
from aiohttp import web
from alerts_kit import LOGIN, Deployment, Hook, MailServer, make_certificate, quick, server_context, until

from tradewind.runtime.refusals import StartRefused
from tradewind.services.alerts.channels import Undelivered
from tradewind.services.alerts.mailing import Mailer
from tradewind.services.alerts.service import senders_of
from tradewind.services.alerts.settings import Settings
from tradewind.services.alerts.webhook import READ_BYTES, Webhook
from tradewind.store.alert_deliveries import AlertDeliveries, Delivery, Told
from tradewind.store.alerts import NotificationKind, Severity

DELIVERY = Delivery(
    delivery_id="d-1",
    channel="any",
    attempts=1,
    created_at=1,
    told=(
        Told(
            kind=NotificationKind.OPENED,
            severity=Severity.CRITICAL,
            name="ServiceAway",
            subject="execution",
            first_at=1_700_000_000_000_000_000,
            count=2,
        ),
    ),
)
SECRET = "s3cret-of-the-hook"


def webhook(settings: Settings) -> Webhook:
    [sender] = senders_of(settings)
    assert isinstance(sender, Webhook)
    return sender


async def refusal(sender: Webhook | Mailer) -> Undelivered:
    with pytest.raises(Undelivered) as caught:
        await sender.send(DELIVERY)
    return caught.value


async def test_a_post_is_signed_and_says_what_it_is(hook: Hook) -> None:
    await webhook(quick(webhook_url=hook.url, webhook_secret=SECRET)).send(DELIVERY)
    [body], [headers] = hook.bodies, hook.headers
    assert headers["X-Tradewind-Delivery"] == "d-1"
    signed = headers["X-Tradewind-Timestamp"].encode() + b"." + body
    assert headers["X-Tradewind-Signature"] == "v1=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert SECRET.encode() not in body
    text = msgspec.json.decode(body)["text"]
    assert text.startswith("[tradewind] critical: ServiceAway execution\nCRITICAL a service is away")
    assert "2023-11-14 22:13:20 UTC, 2 times so far" in text


@pytest.mark.parametrize(
    ("status", "again"), [(500, True), (503, True), (429, True), (408, True), (404, False), (400, False)]
)
async def test_an_answer_that_is_no_success_is_tried_again_if_that_may_help(
    hook: Hook, status: int, again: bool
) -> None:
    async def answers(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="no")

    hook.answer = answers
    problem = await refusal(webhook(quick(webhook_url=hook.url)))
    assert problem.again is again
    assert str(status) in str(problem)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(hook: Hook, status: int) -> None:
    async def redirects(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    hook.answer = redirects
    problem = await refusal(webhook(quick(webhook_url=hook.url, webhook_secret=SECRET)))
    assert not problem.again
    assert "redirect" in str(problem)
    assert hook.elsewhere == 0
    assert len(hook.bodies) == 1


async def test_who_never_answers_costs_the_time_of_one_attempt(hook: Hook) -> None:
    async def hangs(_request: web.Request) -> web.StreamResponse:
        await hook.stopping.wait()
        return web.Response()

    hook.answer = hangs
    problem = await refusal(webhook(quick(webhook_url=hook.url, send_timeout_s=0.2)))
    assert (problem.again, str(problem)) == (True, "no answer in time")


async def test_an_endless_answer_is_not_read(hook: Hook) -> None:
    written = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
                written += 65_536
        except ConnectionError:
            return response

    hook.answer = endless
    await webhook(quick(webhook_url=hook.url)).send(DELIVERY)
    seen = -1
    while seen != written:  # until the server has noticed that nobody reads
        seen = written
        await asyncio.sleep(0.1)
    assert READ_BYTES <= written < 100_000_000


async def test_who_drips_its_answer_costs_the_time_of_one_attempt(hook: Hook) -> None:
    async def drips(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        while not hook.stopping.is_set():
            request.transport.write(b"H")
            await asyncio.sleep(0.05)
        return web.Response()

    hook.answer = drips
    assert (await refusal(webhook(quick(webhook_url=hook.url, send_timeout_s=0.3)))).again


async def test_a_certificate_must_be_trusted(tmp_path: pathlib.Path) -> None:
    async with Hook().running(server_context(tmp_path)) as hook:
        problem = await refusal(webhook(quick(webhook_url=hook.url)))
        assert str(problem) == "its certificate is not trusted"
        await webhook(quick(webhook_url=hook.url, ca_file=str(tmp_path / "cert.pem"))).send(DELIVERY)
        assert len(hook.bodies) == 1


def test_a_file_of_authorities_must_be_one(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ca.pem").write_text("no")
    with pytest.raises(StartRefused, match="TRADEWIND_ALERTS_CA_FILE"):
        senders_of(quick(ca_file=str(tmp_path / "ca.pem")))


async def test_nobody_listens() -> None:
    problem = await refusal(webhook(quick(webhook_url="http://127.0.0.1:1/s3cret-path")))
    assert problem.again
    assert "s3cret-path" not in str(problem)


# -- mail ------------------------------------------------------------------------------------------------------------


def mail_settings(server: MailServer, folder: pathlib.Path | None = None, **changes: object) -> Settings:
    values: dict[str, object] = {
        "smtp_host": "127.0.0.1",
        "smtp_port": server.port,
        "smtp_security": "none" if folder is None else "starttls",
        "email_from": "alerts@desk.example",
        "email_to": "anna@desk.example, bob@desk.example",
        "ca_file": "" if folder is None else str(folder / "cert.pem"),
    }
    return quick(**{**values, **changes})


def mailer(settings: Settings) -> Mailer:
    [sender] = senders_of(settings)
    assert isinstance(sender, Mailer)
    return sender


async def test_a_mail_in_the_clear_on_this_machine() -> None:
    async with MailServer().running() as server:
        await mailer(mail_settings(server)).send(DELIVERY)
        [text], [envelope] = server.texts(), server.messages
    message = email.message_from_string(text, policy=email.policy.default)
    assert message["Subject"] == "[tradewind] critical: ServiceAway execution"
    assert message["Message-ID"] == "<d-1@desk.example>"
    assert envelope.rcpt_tos == ["anna@desk.example", "bob@desk.example"]
    assert envelope.mail_from == "alerts@desk.example"
    assert "a service is away" in str(message.get_payload())


@pytest.mark.parametrize("tls", [False, True], ids=["starttls", "tls"])
async def test_a_mail_over_tls_with_a_login(tmp_path: pathlib.Path, tls: bool) -> None:
    make_certificate(tmp_path)
    async with MailServer(tmp_path, tls=tls, login=True).running() as server:
        secure = "tls" if tls else "starttls"
        settings = mail_settings(server, tmp_path, smtp_security=secure, smtp_user=LOGIN[0], smtp_password=LOGIN[1])
        await mailer(settings).send(DELIVERY)
        assert server.secured == [True]
        assert LOGIN[1] not in server.texts()[0]
        wrong = mail_settings(server, tmp_path, smtp_security=secure, smtp_user="desk", smtp_password=SECRET)
        problem = await refusal(mailer(wrong))
        assert (problem.again, str(problem)) == (False, "the mail server refuses the login")


async def test_starttls_is_not_left_out_when_the_server_has_none() -> None:
    async with MailServer().running() as server:
        problem = await refusal(mailer(mail_settings(server, smtp_security="starttls")))
        assert problem.again
        assert server.messages == []


async def test_a_mail_server_s_certificate_must_be_trusted(tmp_path: pathlib.Path) -> None:
    make_certificate(tmp_path)
    async with MailServer(tmp_path).running() as server:
        await refusal(mailer(mail_settings(server, tmp_path, ca_file="")))
        assert server.messages == []


@pytest.mark.parametrize(("answer", "again"), [("554 spam", False), ("451 later", True)])
async def test_a_refused_message(answer: str, again: bool) -> None:
    async with MailServer().running() as server:
        server.refuse = answer
        problem = await refusal(mailer(mail_settings(server)))
        assert (problem.again, str(problem)) == (again, f"the mail server answered {answer[:3]}")


@pytest.mark.parametrize(("answer", "again"), [("550 unknown", False), ("450 greylisted", True)])
async def test_refused_receivers(answer: str, again: bool) -> None:
    async with MailServer().running() as server:
        server.refuse_receivers = answer
        problem = await refusal(mailer(mail_settings(server)))
        assert problem.again is again


async def test_a_mail_server_that_says_nothing() -> None:
    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        ended.set()

    ended = asyncio.Event()
    silent = await asyncio.start_server(says_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    settings = quick(
        smtp_host="127.0.0.1",
        smtp_port=port,
        smtp_security="none",
        email_from="a@b.example",
        email_to="c@d.example",
        send_timeout_s=0.3,
    )
    assert (await refusal(mailer(settings))).again
    await ended.wait()
    silent.close()


# -- the queue before them -------------------------------------------------------------------------------------------


async def test_a_channel_that_fails_is_an_alert_on_the_page_and_for_the_others_and_no_loop(
    deployment: Deployment, hook: Hook
) -> None:
    async def refuses(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=403)

    hook.answer = refuses
    async with MailServer().running() as server:
        settings = mail_settings(server, webhook_url=hook.url)
        await deployment.tell("execution", "not-ready", kind="order-path")
        async with deployment.copy(settings):
            failed = await deployment.comes("NotificationFailed", "OPEN")
            assert failed.subject == "webhook"
            await until(lambda: any("NotificationFailed" in text for text in server.texts()))
            await deployment.tell("execution", "ready", kind="order-path")
            await deployment.comes("ServiceNotReady", "RESOLVED")
            await until(lambda: any("over" in text and "ServiceNotReady" in text for text in server.texts()))
            # Nobody was told by the webhook that it began, so nobody is told that it is over; nor of its own failure.
            assert [name for _, name, _ in hook.told()] == ["ServiceNotReady"]

            async def takes(_request: web.Request) -> web.StreamResponse:
                return web.Response()

            hook.answer = takes
            queue = AlertDeliveries(deployment.database)
            made = await queue.ask_for_test(1)
            await until(lambda: all_sent(queue, [one.notification_id for one in made]))
            await deployment.comes("NotificationFailed", "RESOLVED")
    assert sorted(one.channel for one in made) == ["email", "webhook"]
    outcomes = [(one.channel, one.state) for one in await queue.notifications() if one.kind == "OPENED"]
    assert ("webhook", "FAILED") in outcomes


async def all_sent(queue: AlertDeliveries, ids: list[int]) -> bool:
    return {one.state for one in await queue.notifications(ids=ids)} == {"SENT"}


async def test_what_fails_for_a_while_comes_in_order_once_it_works(deployment: Deployment, hook: Hook) -> None:
    async def busy(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    async def takes(_request: web.Request) -> web.StreamResponse:
        return web.Response()

    hook.answer = busy
    await deployment.tell("execution", "not-ready", kind="order-path")
    async with deployment.copy(quick(webhook_url=hook.url, channel_s=60.0)):
        await until(lambda: len(hook.bodies) >= 3)
        await deployment.tell("execution", "ready", kind="order-path")
        await deployment.comes("ServiceNotReady", "RESOLVED")
        tried = len(hook.bodies)
        await until(lambda: len(hook.bodies) > tried)
        hook.answer = takes
        failed = len(hook.bodies)
        await until(lambda: len(hook.bodies) >= failed + 2)
    # All failed attempts were of the first message, and the end came after it.
    kinds = [kind for kind, name, _ in hook.told() if name == "ServiceNotReady"]
    assert set(kinds[:-1]) == {"OPENED"}
    assert kinds[-1] == "RESOLVED"
    assert len({one["X-Tradewind-Delivery"] for one in hook.headers}) == 2


async def test_what_cannot_be_told_for_too_long_is_given_up(deployment: Deployment, hook: Hook) -> None:
    async def busy(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    hook.answer = busy
    await deployment.tell("execution", "not-ready", kind="order-path")
    async with deployment.copy(quick(webhook_url=hook.url, give_up_s=0.3)):
        queue = AlertDeliveries(deployment.database)
        await until(lambda: given_up(queue))
        await deployment.comes("NotificationFailed", "OPEN")


async def given_up(queue: AlertDeliveries) -> bool:
    return any(one.state == "FAILED" and "given up" in one.outcome for one in await queue.notifications())


async def test_what_opens_together_is_one_message(deployment: Deployment, hook: Hook) -> None:
    for number in range(6):
        await deployment.tell(f"recorder-{number}", "not-ready")
    async with deployment.copy(quick(webhook_url=hook.url, group_s=0.5)):
        await until(lambda: len(hook.told()) == 6)
    assert len(hook.bodies) == 1


async def test_what_is_over_before_it_was_told_is_not_told(deployment: Deployment, hook: Hook) -> None:
    await deployment.tell("recorder", "not-ready")
    async with deployment.copy(quick(webhook_url=hook.url, group_s=30.0)):
        await deployment.comes("ServiceNotReady", "OPEN")
        await deployment.tell("recorder", "ready")
        await deployment.comes("ServiceNotReady", "RESOLVED")
    assert hook.bodies == []
    [row] = await AlertDeliveries(deployment.database).notifications()
    assert (row.state, row.outcome) == ("DROPPED", "it was over before this was told")


def test_the_kit_s_certificate_is_no_authority_of_the_machine(tmp_path: pathlib.Path) -> None:
    make_certificate(tmp_path)
    trusted = {str(one.get("subject")) for one in ssl.create_default_context().get_ca_certs()}
    assert not any("tradewind test" in one for one in trusted)
