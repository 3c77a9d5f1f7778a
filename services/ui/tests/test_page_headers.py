"""nginx sends the page with the same protections as the api service does, and the embedded page is found."""

import re
import subprocess
from pathlib import Path

from ui_platform import ROOT

NGINX = ROOT / "services/ui/nginx"


def said_by_nginx() -> dict[str, str]:
    text = (NGINX / "tradewind-headers.conf").read_text(encoding="utf-8")
    found = re.findall(r'^add_header ([A-Za-z-]+) (?:"([^"]+)"|(\S+)) always;$', text, flags=re.MULTILINE)
    return {name.lower(): quoted or plain for name, quoted, plain in found}


def said_by_the_api_service() -> dict[str, str]:
    text = (ROOT / "services/api/src/tradewind/services/api/logins/guard.py").read_text(encoding="utf-8")
    block = text.partition("_SECURITY_HEADERS: Final = (")[2].partition("\n)\n")[0]
    pairs = re.findall(r'\(\s*b"([a-z-]+)",\s*((?:b"[^"]*"\s*)+),?\s*\)', block)
    return {name: "".join(re.findall(r'b"([^"]*)"', value)) for name, value in pairs}


def test_nginx_sends_what_the_api_service_sends() -> None:
    api = said_by_the_api_service()
    assert "content-security-policy" in api
    assert said_by_nginx() == {name: value for name, value in api.items() if name != "cache-control"}


def test_each_place_that_adds_a_header_adds_the_protections_too() -> None:
    """nginx inherits no header into a block that adds one of its own."""
    text = (NGINX / "nginx.conf.template").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"location [^{]+\{([^}]*)\}", text) if "add_header" in block]
    assert len(blocks) == 2
    assert all("include /etc/nginx/tradewind-headers.conf;" in block for block in blocks)


def test_a_wrong_address_of_the_api_service_is_refused(tmp_path: Path) -> None:
    for address in ("", "api:8080", "http://", "http://api; include /etc/passwd"):
        done = subprocess.run(
            [NGINX / "start"],
            env={"PATH": "/usr/bin:/bin", "TRADEWIND_UI_API_URL": address or " "},
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
            cwd=tmp_path,
        )
        assert done.returncode == 78, address
        assert "takes an address like" in done.stderr
