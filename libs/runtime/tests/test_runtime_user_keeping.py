"""Users from the command line, on a real database; and where the token of commands comes from."""

import os
from pathlib import Path

import pytest

from tradewind.runtime import api_token
from tradewind.runtime.platform_api import PlatformApi
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.settings import PlatformSettings, names_secret
from tradewind.runtime.user_keeping import keeping_users
from tradewind.store.audit import AuditRepository
from tradewind.store.database import Database
from tradewind.store.people import PeopleRepository

URL = "http://127.0.0.1:8080"


async def test_users_are_added_changed_and_audited(database: Database) -> None:
    lines: list[str] = []
    platform = PlatformSettings(postgres_dsn=database.dsn)
    async with keeping_users(platform, lines.append) as keeping:
        await keeping.add("anna", "trader", URL)
        assert lines[0].startswith(f"{URL}/#/claim/")
        await keeping.change("anna", role="risk", why="new desk")
        await keeping.change("anna", enabled=False, why="gone")
        await keeping.link("anna", URL)
        lines.clear()
        await keeping.list()
    [line] = lines
    assert "risk" in line
    assert "DISABLED" in line
    assert "no password yet" in line
    audited = [(entry.action, entry.after) for entry in await AuditRepository(database).newest()]
    assert ("user.change", "risk") in audited
    assert all(entry.actor.endswith("(command line)") for entry in await AuditRepository(database).newest())


async def test_what_cannot_be_is_one_sentence(database: Database) -> None:
    platform = PlatformSettings(postgres_dsn=database.dsn)
    for name, role, words in (("anna", "owner", "is no role"), ("No Name", "viewer", "a name has")):
        with pytest.raises(StartRefused, match=words):
            async with keeping_users(platform, str) as keeping:
                await keeping.add(name, role, URL)
    with pytest.raises(StartRefused, match="no user 'nobody'"):
        async with keeping_users(platform, str) as keeping:
            await keeping.link("nobody", URL)
    assert await PeopleRepository(database).users() == []


async def test_a_database_that_is_away_is_one_sentence() -> None:
    platform = PlatformSettings(postgres_dsn="postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StartRefused, match="TRADEWIND_POSTGRES_DSN"):
        async with keeping_users(platform, str):
            pass


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in (api_token.VARIABLE, api_token.FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_stored_token_is_the_users_own_and_of_one_platform(home: Path) -> None:
    path = api_token.store(URL, "secret-1\nid-1")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.is_relative_to(home)
    assert (api_token.token_for(URL), api_token.token_for(URL + "/")) == ("secret-1", "secret-1")
    assert api_token.token_for("http://127.0.0.1:9999") == ""
    api_token.store(URL, "secret-2\nid-2")
    assert api_token.token_for(URL) == "secret-2"
    path.chmod(0o644)
    with pytest.raises(StartRefused, match="read by others"):
        api_token.token_for(URL)
    assert api_token.forget(URL)
    assert not api_token.forget(URL)


def test_the_environment_and_its_file_come_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api_token.store(URL, "stored")
    monkeypatch.setenv(api_token.VARIABLE, "given")
    assert api_token.token_for(URL) == "given"
    (home / "token").write_text("from a file\n".replace(" ", "-"))
    monkeypatch.setenv(api_token.FILE_VARIABLE, str(home / "token"))
    assert api_token.token_for(URL) == "from-a-file"
    os.remove(home / "token")
    with pytest.raises(StartRefused, match="TRADEWIND_API_TOKEN_FILE"):
        PlatformApi(URL)


@pytest.mark.parametrize("name", ["TRADEWIND_API_SIGNING_KEY", "TRADEWIND_API_OPERATOR_TOKENS", "token", "cookie"])
def test_secrets_of_logins_are_never_shown(name: str) -> None:
    assert names_secret(name)
