"""A registry for tests: what registries answer to the calls that a clean-up makes, with their token login."""

import base64
import hashlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

USER, PASSWORD, TOKEN = "cleaner", "s3cret", "a-token"
PAGE = 2
"""Tags in one answer, so that a reader must follow the links."""


class Images:
    """Manifests and blobs by digest, tags by name."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.scopes: list[str] = []

    def store(self, content: Any) -> str:
        body = json.dumps(content).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        self.stored[digest] = body
        return digest

    def push(self, name: str, tag: str, created: str, *, indexed: bool = False, seed: str = "") -> str:
        config = self.store({"created": created, "seed": seed or tag})
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
        digest = self.store({**manifest, "config": {"digest": config}, "layers": []})
        if indexed:
            index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
            digest = self.store({**index, "manifests": [{"digest": digest}]})
        self.tags.setdefault(name, {})[tag] = digest
        return digest


@contextmanager
def registry(images: Images) -> Iterator[str]:
    """Serve on the loopback; gives ``host:port``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            asked = dict(urllib.parse.parse_qsl(query))
            if path == "/token":
                login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                right = self.headers["Authorization"] == f"Basic {login}"
                images.scopes.append(asked["scope"])
                self.answer(200 if right else 401, json.dumps({"token": TOKEN}).encode())
            elif self.admitted("pull"):
                self.give(path, asked)

        def do_DELETE(self) -> None:
            if not self.admitted("delete"):
                return
            name, _, digest = self.path.removeprefix("/v2/").partition("/manifests/")
            images.tags[name] = {tag: one for tag, one in images.tags[name].items() if one != digest}
            self.answer(202)

        def give(self, path: str, asked: dict[str, str]) -> None:
            name, what, reference = path.removeprefix("/v2/").rsplit("/", 2)
            if what == "tags":
                found = sorted(tag for tag in images.tags.get(name, {}) if tag > asked.get("last", ""))
                headers = {}
                if len(found) > PAGE:
                    headers["Link"] = f'<{path}?n={PAGE}&last={found[PAGE - 1]}>; rel="next"'
                code = 200 if name in images.tags else 404
                self.answer(code, json.dumps({"name": name, "tags": found[:PAGE] or None}).encode(), headers)
                return
            digest = images.tags.get(name, {}).get(reference, reference)
            body = images.stored.get(digest)
            self.answer(404 if body is None else 200, body or b"", {"Docker-Content-Digest": digest})

        def admitted(self, action: str) -> bool:
            if self.headers["Authorization"] == f"Bearer {TOKEN}":
                return True
            realm = f"http://{self.headers['Host']}/token"
            scope = f"repository:{self.path.split('/')[2]}:{action}"
            challenge = f'Bearer realm="{realm}",service="registry",scope="{scope}"'
            self.answer(401, b"{}", {"WWW-Authenticate": challenge})
            return False

        def answer(self, code: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
            self.send_response(code)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
