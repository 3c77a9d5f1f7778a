"""Logging in and out on a real database: links, passwords, sessions, tokens, and what a thief gets."""

import asyncio
import contextlib
import json
import time
from typing import Any, Final

import aiohttp
import pytest
import websockets
from api_platform import RunningApi, api_settings, bearer, running_api
from people_kit import PASSWORD, invite, link_for, person
from websockets.exceptions import ConnectionClosed

from tradewind.services.api.logins import directory, login_desk
from tradewind.services.api.logins.attempts import FREE, LONGEST_WAIT_S, Attempts
from tradewind.services.api.logins.directory import hash_of
from tradewind.store import logins
from tradewind.store.database import Database
from tradewind.store.postgres_server import PostgresServer
from tradewind.store.redis_link import RedisLink
from tradewind.wire.topics import RISK_COMMANDS

HALT: Final = {"scope": "firm", "state": "HALTED", "why": "drill"}
LOGIN: Final = {"name": "tina", "password": PASSWORD}


def cookies(api: RunningApi) -> dict[str, aiohttp.abc.Any]:
    return {cookie.key: cookie for cookie in api.http.cookie_jar}


def streaming(api: RunningApi, **headers: str) -> Any:
    return websockets.connect(f"ws://127.0.0.1:{api.port}/api/v1/stream", additional_headers=headers, max_size=2**23)


def cookie_header(api: RunningApi) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{one.key}={one.value}" for one in api.http.cookie_jar)}


async def ended_with(connection: Any) -> int | None:
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.recv()
    code: int | None = connection.close_code
    return code


async def test_the_first_admin_is_made_by_a_link_that_works_once(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_api(database, api_settings()) as api, api.visitor() as first, api.visitor() as second:
        printed = ""
        while "/#/claim/" not in printed:
            await asyncio.sleep(0.02)
            printed += capsys.readouterr().err
        assert f"{api.origin}/#/claim/" in printed
        token = printed.partition("/#/claim/")[2].split()[0]
        assert (await first.get("/api/v1/auth/state"))[1] == {"setup_needed": True, "user": None, "oidc": None}
        assert (await first.get("/api/v1/health"))[0] == 401
        wanted = {"token": token, "name": "ada", "password": PASSWORD}
        assert (await first.post("/api/v1/auth/claim", wanted | {"password": "short"}))[0] == 422
        assert (await first.post("/api/v1/auth/claim", wanted | {"name": "anna"}))[0] == 409  # the deployment's own
        status, me = await first.post("/api/v1/auth/claim", wanted)
        assert (status, me["name"], me["role"]) == (200, "ada", "admin")
        assert (await first.get("/api/v1/health"))[0] == 200
        status, body = await second.post("/api/v1/auth/claim", wanted | {"name": "eve"})
        assert (status, "not valid any more" in body["detail"]) == (409, True)
        assert not (await second.get("/api/v1/auth/state"))[1]["setup_needed"]


async def test_a_link_that_is_late_is_worth_nothing(stored_api: RunningApi, database: Database) -> None:
    token = await link_for(database, None, lasts_ns=-1)
    async with stored_api.visitor() as visitor:
        wanted = {"token": token, "name": "eve", "password": PASSWORD}
        assert (await visitor.post("/api/v1/auth/claim", wanted))[0] == 409


async def test_two_who_claim_the_first_place_at_once_make_one_admin(stored_api: RunningApi, database: Database) -> None:
    links = [await link_for(database, None) for _ in range(2)]
    async with stored_api.visitor() as visitor:
        bodies = [{"token": link, "name": f"ada{n}", "password": PASSWORD} for n, link in enumerate(links)]
        answers = await asyncio.gather(*(visitor.post("/api/v1/auth/claim", body) for body in bodies))
    assert sorted(status for status, _ in answers) == [200, 409]


async def test_cookies_are_out_of_reach_of_scripts_and_other_sites(stored_api: RunningApi, database: Database) -> None:
    async with person(stored_api, database, "tina", "trader") as tina:
        access, refresh = (cookies(tina)[name] for name in ("tradewind_access", "tradewind_refresh"))
        for cookie in (access, refresh):
            assert cookie["httponly"]
            assert cookie["samesite"].lower() == "strict"
        assert refresh["path"] == "/api/v1/auth"
        async with database.connection() as connection:
            kept = [row["token_hash"] for row in await connection.fetch("SELECT token_hash FROM refresh_tokens")]
            [hashed] = [row["password_hash"] for row in await connection.fetch("SELECT password_hash FROM users")]
        assert kept == [hash_of(refresh.value)]
        assert hashed.startswith("$argon2id$")


async def test_every_refused_login_says_the_same(stored_api: RunningApi, database: Database) -> None:
    await invite(database, "nopass", "viewer")
    async with person(stored_api, database, "tina", "trader"), stored_api.visitor() as visitor:
        change = {"enabled": False, "why": "gone away"}
        assert (await stored_api.patch("/api/v1/users/tina", change))[0] == 200
        said = [
            await visitor.post("/api/v1/auth/login", body)
            for body in (LOGIN, LOGIN | {"password": "wrong"}, LOGIN | {"name": "nobody"}, LOGIN | {"name": "nopass"})
        ]
    assert {status for status, _ in said} == {401}
    assert len({body["detail"] for _, body in said}) == 1


async def test_an_unknown_name_costs_the_same_work(stored_api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []
    passwords = stored_api.service.desk.passwords
    real = passwords._matches
    monkeypatch.setattr(passwords, "_matches", lambda kept, given: verified.append(kept) or real(kept, given))
    async with stored_api.visitor() as visitor:
        assert (await visitor.post("/api/v1/auth/login", LOGIN | {"name": "nobody"}))[0] == 401
    [kept] = verified
    assert kept.startswith("$argon2id$")


async def test_failures_lock_out_and_a_wait_lets_in_again(
    stored_api: RunningApi, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(stored_api.service.attempts, "_clock", lambda: now)
    async with person(stored_api, database, "tina", "trader"), stored_api.visitor() as visitor:
        for _ in range(FREE + 1):
            assert (await visitor.post("/api/v1/auth/login", LOGIN | {"password": "wrong"}))[0] == 401
        async with visitor.http.post(visitor.origin + "/api/v1/auth/login", json=LOGIN) as answer:
            assert (answer.status, int(answer.headers["Retry-After"])) == (429, 1)
        now += 1.5
        assert (await visitor.post("/api/v1/auth/login", LOGIN))[0] == 200
        assert (await visitor.post("/api/v1/auth/login", LOGIN | {"password": "wrong"}))[0] == 401  # counted anew


async def test_waits_double_up_to_a_bound_and_many_at_once_count() -> None:
    now = 0.0
    attempts = Attempts(None, clock=lambda: now)
    await asyncio.gather(*(attempts.count("tina", f"10.0.0.{n}") for n in range(FREE)))
    assert await attempts.wait_s("tina", "10.9.9.9") == 0
    waits = []
    for n in range(20):
        await attempts.count("TINA", f"10.0.1.{n}")
        waits.append(await attempts.wait_s("tina", "10.9.9.9"))
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == LONGEST_WAIT_S


async def test_another_process_counts_too_through_redis(redis_url: str) -> None:
    links = [RedisLink(redis_url) for _ in range(2)]
    one, other = (Attempts(link) for link in links)
    for _ in range(FREE + 4):
        await one.count("tina", "10.0.0.1")
    assert await other.wait_s("tina", "10.9.9.9") > 1
    await one.succeeded("tina", "10.0.0.1")
    assert await other.wait_s("tina", "10.9.9.9") == 0
    for link in links:
        await link.close()


async def test_a_refresh_token_is_used_up_and_a_stolen_one_ends_the_login(
    stored_api: RunningApi, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "REFRESH_GRACE_NS", 0)
    async with person(stored_api, database, "tina", "trader") as tina:
        stolen = cookies(tina)["tradewind_refresh"].value
        assert (await tina.post("/api/v1/auth/refresh", {}))[0] == 200
        assert cookies(tina)["tradewind_refresh"].value != stolen
        async with streaming(stored_api, **cookie_header(tina)) as stream, stored_api.visitor() as thief:
            await stream.recv()
            answer = await thief.post("/api/v1/auth/refresh", {}, headers={"Cookie": f"tradewind_refresh={stolen}"})
            assert answer[0] == 401
            assert await ended_with(stream) == 4401
        assert (await tina.get("/api/v1/health"))[0] == 401
        assert (await tina.post("/api/v1/auth/refresh", {}))[0] == 401
    lines = (await stored_api.get("/api/v1/audit?action=session.stolen"))[1]["rows"]
    assert [line["actor"] for line in lines] == ["tina"]


async def test_two_pages_may_renew_at_the_same_time(stored_api: RunningApi, database: Database) -> None:
    async with person(stored_api, database, "tina", "trader") as tina:
        answers = await asyncio.gather(*(tina.post("/api/v1/auth/refresh", {}) for _ in range(3)))
        assert [status for status, _ in answers] == [200] * 3
        assert (await tina.get("/api/v1/health"))[0] == 200


@pytest.mark.parametrize("how", ["logout", "role", "disabled", "password"])
async def test_what_ends_a_login_closes_its_stream(stored_api: RunningApi, database: Database, how: str) -> None:
    async with person(stored_api, database, "tina", "trader") as tina, stored_api.visitor() as elsewhere:
        assert (await elsewhere.post("/api/v1/auth/login", LOGIN))[0] == 200
        async with streaming(stored_api, **cookie_header(tina)) as stream:
            await stream.recv()
            if how == "logout":
                async with tina.http.post(tina.origin + "/api/v1/auth/logout", json={}) as answer:
                    assert answer.status == 204
            elif how == "role":
                assert (await stored_api.patch("/api/v1/users/tina", {"role": "risk", "why": "moves"}))[0] == 200
            elif how == "disabled":
                assert (await stored_api.patch("/api/v1/users/tina", {"enabled": False, "why": "gone"}))[0] == 200
            else:
                body = {"current": PASSWORD, "new": PASSWORD + " 2"}
                async with elsewhere.http.post(elsewhere.origin + "/api/v1/auth/password", json=body) as answer:
                    assert answer.status == 204
            assert await ended_with(stream) == 4401
        assert (await tina.get("/api/v1/health"))[0] == 401
        if how == "password":
            assert (await elsewhere.get("/api/v1/health"))[0] == 200


async def test_a_stream_of_the_deployments_own_token_stays(stored_api: RunningApi) -> None:
    async with streaming(stored_api, **bearer("vera")) as stream:
        await stream.recv()
        await stored_api.service.desk.directory.refresh()
        for _ in range(3):
            await stream.recv()


async def test_a_stream_without_a_login_is_ended(stored_api: RunningApi) -> None:
    async with streaming(stored_api) as stream:
        assert await ended_with(stream) == 4401


async def test_an_access_token_lasts_so_long_and_no_longer(database: Database) -> None:
    settings = api_settings(access_minutes=0.02)
    async with running_api(database, settings) as api, person(api, database, "tina", "trader") as tina:
        _, me = await tina.post("/api/v1/auth/refresh", {})
        stale = cookie_header(tina)
        while time.time_ns() < int(me["expires_at"]) + 1_000_000_000:
            await asyncio.sleep(0.05)
        async with api.visitor() as visitor:
            assert (await visitor.get("/api/v1/health", headers=stale))[0] == 401
        assert (await tina.post("/api/v1/auth/refresh", {}))[0] == 200


async def test_a_restart_makes_pages_renew_and_not_log_in(database: Database) -> None:
    async with running_api(database, api_settings()) as api, person(api, database, "tina", "trader") as tina:
        kept = cookie_header(tina)
    async with running_api(database, api_settings()) as api, api.visitor() as again:
        assert (await again.get("/api/v1/health", headers=kept))[0] == 401
        status, me = await again.post("/api/v1/auth/refresh", {}, headers=kept)
        assert (status, me["name"], me["role"]) == (200, "tina", "trader")


async def test_with_a_key_of_their_own_several_services_know_each_other(database: Database) -> None:
    settings = api_settings(signing_key="k" * 32)
    async with (
        running_api(database, settings) as one,
        running_api(database, settings) as other,
        person(one, database, "tina", "trader") as tina,
        other.visitor() as there,
    ):
        kept = cookie_header(tina)
        await other.service.desk.directory.refresh()
        assert (await there.get("/api/v1/health", headers=kept))[0] == 200
        async with streaming(other, **kept) as stream:
            await stream.recv()
            async with tina.http.post(tina.origin + "/api/v1/auth/logout", json={}) as answer:
                assert answer.status == 204
            assert await ended_with(stream) == 4401


async def test_a_token_is_shown_once_acts_as_its_owner_and_ends(stored_api: RunningApi, database: Database) -> None:
    async with person(stored_api, database, "tina", "trader") as tina, stored_api.visitor() as program:
        status, made = await tina.post("/api/v1/tokens", {"name": "night job", "days": 1})
        assert status == 201
        use = {"Authorization": f"Bearer {made['secret']}"}
        assert (await program.get("/api/v1/health", headers=use))[0] == 200
        assert (await program.post("/api/v1/trading-state", HALT, headers=use))[0] == 403
        assert (await program.post("/api/v1/tokens", {"name": "more"}, headers=use))[0] == 403
        [row] = (await tina.get("/api/v1/tokens"))[1]["rows"]
        assert (row["name"], row["user"]) == ("night job", "tina")
        assert made["secret"] not in json.dumps(row)
        async with streaming(stored_api, **use) as stream:
            await stream.recv()
            assert (await tina.delete(f"/api/v1/tokens/{made['token_id']}"))[0] == 204
            assert await ended_with(stream) == 4401
        assert (await program.get("/api/v1/health", headers=use))[0] == 401


async def test_nobody_takes_the_token_of_another(stored_api: RunningApi, database: Database) -> None:
    async with (
        person(stored_api, database, "tina", "trader") as tina,
        person(stored_api, database, "theo", "risk") as theo,
    ):
        _, made = await tina.post("/api/v1/tokens", {"name": "hers"})
        assert (await theo.delete(f"/api/v1/tokens/{made['token_id']}"))[0] == 404
        assert (await theo.get("/api/v1/tokens?all=true"))[0] == 403
        assert (await theo.get("/api/v1/tokens"))[1]["rows"] == []
        assert (await stored_api.delete(f"/api/v1/tokens/{made['token_id']}"))[0] == 204


async def test_the_last_admin_stays(stored_api: RunningApi, database: Database) -> None:
    async with person(stored_api, database, "ada", "admin"):
        for change in ({"role": "viewer"}, {"enabled": False}):
            status, body = await stored_api.patch("/api/v1/users/ada", change | {"why": "a mistake"})
            assert (status, "last admin" in body["detail"]) == (409, True)


async def test_a_halt_needs_no_database(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(directory, "LOOK_S", 0.1)
    database = Database(own_server.dsn, connect_timeout_s=1.0)
    async with (
        database,
        running_api(database, api_settings(query_timeout_s=1.0)) as api,
        person(api, database, "rosa", "risk") as rosa,
    ):
        await asyncio.to_thread(own_server.stop)
        assert (await rosa.post("/api/v1/trading-state", HALT))[0] == 202
        engage = {"scope": "firm", "why": "drill"}
        assert (await rosa.post("/api/v1/kill-switches", engage))[0] == 202
        assert (await rosa.post("/api/v1/trading-state", HALT | {"state": "ACTIVE"}))[0] == 503
        assert len(await api.bus.replay(RISK_COMMANDS)) == 2
        # The access token is prolonged as it is; a new login is not to be had.
        assert (await rosa.post("/api/v1/auth/refresh", {}))[0] == 200
        assert (await rosa.get("/api/v1/health"))[0] == 200
        async with api.visitor() as stranger:
            assert (await stranger.post("/api/v1/auth/login", LOGIN))[0] == 503
        assert api.service.trail.owed == 2
        written = capsys.readouterr()
        assert "kill.engage" in written.out + written.err
        await asyncio.to_thread(own_server.start)
        page = await api.eventually(
            "/api/v1/audit?actor=rosa", lambda body: len(body.get("rows", ())) >= 2 and not api.service.trail.owed
        )
    actions = [line["action"] for line in page["rows"]]
    assert actions.count("kill.engage") == actions.count("trading-state.set") == 1


async def test_the_audit_says_who_what_from_where_and_why(stored_api: RunningApi, database: Database) -> None:
    async with person(stored_api, database, "rosa", "risk") as rosa:
        assert (await rosa.post("/api/v1/trading-state", HALT))[0] == 202
        _, page = await rosa.get("/api/v1/audit?action=trading-state&limit=1")
        [line] = page["rows"]
        assert (line["actor"], line["role"], line["action"]) == ("rosa", "risk", "trading-state.set")
        assert (line["subject"], line["before"], line["after"]) == ("firm", "ACTIVE", "HALTED")
        assert (line["why"], line["client"]) == ("drill", "127.0.0.1")
        assert (await rosa.get("/api/v1/audit?cursor=AAAA"))[0] == 422
        seen, cursor = [], None
        while True:
            more = f"&cursor={cursor}" if cursor else ""
            _, page = await rosa.get(f"/api/v1/audit?limit=1{more}")
            seen += [line["id"] for line in page["rows"]]
            if (cursor := page["next_cursor"]) is None:
                break
        assert len(seen) == len(set(seen)) >= 3


async def test_no_secret_is_in_the_log(
    stored_api: RunningApi, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    async with person(stored_api, database, "tina", "trader") as tina, stored_api.visitor() as visitor:
        await visitor.post("/api/v1/auth/login", LOGIN | {"password": "my other password"})
        _, made = await tina.post("/api/v1/tokens", {"name": "job"})
        await visitor.get("/api/v1/health", headers=bearer("anna"))
        held = [PASSWORD, "my other password", made["secret"], bearer("anna")["Authorization"][7:]]
        held += [cookie.value for cookie in tina.http.cookie_jar]
    written = capsys.readouterr()
    assert "login refused" in written.err + written.out
    for secret in held:
        assert secret not in written.err + written.out


def test_a_lookup_of_a_login_takes_no_time_that_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    real = login_desk.OperatorTokens.__init__.__globals__["hmac"].compare_digest
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append(len(a)) or real(a, b))
    tokens = login_desk.OperatorTokens(f"a:admin:{'x' * 32} b:viewer:{'y' * 32}")
    assert tokens.identity("x" * 32, "") is not None
    assert compared == [32, 32]  # all of them, and digests of one length
