"""Settings of the alerts service: what cannot work is refused in words that name no secret."""

import pytest

from tradewind.runtime.settings import SettingsError, load_settings
from tradewind.services.alerts.settings import Settings, is_this_machine

PREFIX = "TRADEWIND_ALERTS_"


def loaded(**variables: str) -> Settings:
    return load_settings(Settings, prefix=PREFIX, environ={PREFIX + name: value for name, value in variables.items()})


def test_without_anything_no_channel_is_on() -> None:
    settings = loaded()
    assert (settings.webhook_url, settings.smtp_host, settings.receivers) == ("", "", ())


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"WEBHOOK_URL": "ftp://s3cret.example.com/x"}, "https://"),
        ({"WEBHOOK_URL": "http://hooks.example.com/s3cret"}, "anybody on the way"),
        ({"WEBHOOK_URL": "https:///s3cret"}, "https://"),
        ({"SMTP_HOST": "mail.example.com"}, "email_from"),
        ({"SMTP_HOST": "m.example.com", "EMAIL_FROM": "a@b", "EMAIL_TO": "nobody"}, "addresses like"),
        ({"SMTP_HOST": "m.example.com", "EMAIL_FROM": "a@b", "EMAIL_TO": "x@y\r\nBcc: z@z"}, "addresses like"),
        (
            {"SMTP_HOST": "m.example.com", "EMAIL_FROM": "a@b", "EMAIL_TO": "c@d", "SMTP_SECURITY": "none"},
            "on this machine",
        ),
        (
            {
                "SMTP_HOST": "127.0.0.1",
                "EMAIL_FROM": "a@b",
                "EMAIL_TO": "c@d",
                "SMTP_SECURITY": "none",
                "SMTP_PASSWORD": "s3cret",
            },
            "without a password",
        ),
        ({"EVALUATE_EVERY_S": "0"}, "evaluate_every_s"),
        ({"GROUP_S": "-1"}, "group_s"),
        ({"LIMIT_SHARE": "80"}, "limit_share"),
        ({"FLAP_OPENINGS": "0"}, "flap_openings"),
        ({"WEBHOOK_MIN_SEVERITY": "loud"}, "one of info, warning, critical"),
    ],
)
def test_what_cannot_work_is_refused(variables: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        loaded(**variables)
    assert "s3cret" not in str(caught.value)


def test_loopback_may_be_told_in_the_clear() -> None:
    settings = loaded(
        WEBHOOK_URL="http://127.0.0.1:9/hook",
        SMTP_HOST="localhost",
        SMTP_SECURITY="none",
        EMAIL_FROM="a@b",
        EMAIL_TO=" c@d , e@f ",
    )
    assert settings.receivers == ("c@d", "e@f")
    assert is_this_machine("::1")
    assert not is_this_machine("127.0.0.1.example.com")
