"""The page's files are served from the folder of whoever has built them; without one the address says where to look."""

import asyncio
from collections.abc import MutableMapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import FastAPI

from tradewind.services.api.page import GROUP, add_page, page_folder


async def ask(folder: Path | None, path: str) -> tuple[int, str]:
    """Status and body of a GET, by the application itself."""
    app = FastAPI(docs_url=None, redoc_url=None)
    add_page(app, folder)
    status, body = 0, b""

    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for request in requests:
            return request
        return await asyncio.Future()  # who asks again waits for the client to leave

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    scope = {"type": "http", "method": "GET", "path": unquote(path), "raw_path": path.encode(), "query_string": b""}
    await app(scope | {"headers": [], "http_version": "1.1", "scheme": "http", "root_path": ""}, receive, send)
    return status, body.decode()


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<title>Tradewind</title>")
    (folder / "assets" / "index-1a2b.js").write_text("export {}")
    (tmp_path / "secret.txt").write_text("not for the web")
    return folder


async def test_the_pages_files_are_served(built: Path) -> None:
    assert "<title>Tradewind" in (await ask(built, "/"))[1]
    assert await ask(built, "/assets/index-1a2b.js") == (200, "export {}")
    for path in ("/assets/nothing.js", "/../secret.txt", "/%2e%2e/secret.txt", "/assets/%2e%2e%2f%2e%2e%2fsecret.txt"):
        assert (await ask(built, path))[0] == 404, path


async def test_without_a_page_its_address_says_where_to_look() -> None:
    status, text = await ask(None, "/")
    assert status == 404
    assert "make ui" in text


def test_a_page_that_was_not_built_is_none(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [point] = entry_points(group=GROUP)
    monkeypatch.setattr("tradewind.services.ui.ASSETS", built)
    assert point.load() == page_folder() == built
    (built / "index.html").unlink()
    assert page_folder() is None
