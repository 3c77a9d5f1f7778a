"""Images by themselves: what they say when they are set up wrongly, and what their layers hold."""

import json
import subprocess
import tarfile
from typing import IO, Any

import pytest
from containers.engine_kit import CONTAINERS, FIX, PAGE, ROOT, SERVICES, docker, image

pytestmark = pytest.mark.timeout(900)

NOWHERE = {
    "TRADEWIND_POSTGRES_DSN": "postgresql://tradewind:a-password@127.0.0.1:1/x",
    "TRADEWIND_REDIS_URL": "redis://127.0.0.1:1/0",
    "TRADEWIND_BUS_URL": "kafka://127.0.0.1:1",
}
BROKEN = {
    "a word for a number": ({"TRADEWIND_HEALTH_PORT": "abc"}, "TRADEWIND_HEALTH_PORT='abc': it takes"),
    "a secret's file that is not there": (
        {"TRADEWIND_POSTGRES_DSN_FILE": "/run/secrets/nowhere"},
        "TRADEWIND_POSTGRES_DSN_FILE='/run/secrets/nowhere' cannot be read",
    ),
    "an exchange that is no simulated one": (
        {"TRADEWIND_VENUE_REST_URL": "https://api.example.com"},
        "counts as a REAL exchange",
    ),
    "a public name listed as simulated": (
        {"TRADEWIND_SIMULATED_VENUE_HOSTS": "api.example.com"},
        "could be a real exchange",
    ),
    "a broker of no kind": ({"TRADEWIND_BUS_URL": "carrier-pigeon://x"}, "TRADEWIND_BUS_URL"),
    "no database": ({"TRADEWIND_POSTGRES_DSN": ""}, "set TRADEWIND_POSTGRES_DSN"),
    "no Redis": ({"TRADEWIND_REDIS_URL": ""}, "set TRADEWIND_REDIS_URL"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_configuration_ends_with_one_clear_line(images: list[str], case: str) -> None:
    changed, sentence = BROKEN[case]
    environment = [f"--env={name}={value}" for name, value in (NOWHERE | changed).items()]
    strict = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--network=none"]
    done = docker("run", "--rm", *strict, *environment, image("risk"), check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("tradewind: ")
    assert sentence in lines[0]
    assert "a-password" not in done.stdout + done.stderr


def test_an_unknown_service_is_one_clear_line(images: list[str]) -> None:
    done = docker("run", "--rm", image("risk"), "tradewind", "run", "recorder", check=False)
    assert done.returncode == 2
    assert done.stderr.strip() == "tradewind: there is no service 'recorder'; there are: risk"


@pytest.mark.parametrize("service", CONTAINERS)
def test_how_an_image_is_set_up(images: list[str], service: str) -> None:
    config: dict[str, Any] = json.loads(docker("image", "inspect", image(service)).stdout)[0]["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["/usr/bin/tini", "--"]
    # The exec form: no shell between tini and the service.
    assert config["Cmd"] == (["tradewind-page"] if service == PAGE else ["tradewind", "run", service])
    assert config["Healthcheck"]["Test"] == ["CMD", "tradewind-ready"]
    assert not [one for one in config["Env"] if "SECRET" in one or "PASSWORD" in one or "_KEY" in one]


def test_services_differ_in_their_last_layers_alone(images: list[str]) -> None:
    base = _layers(image("runtime"))
    for service in SERVICES:
        layers = _layers(image(service))
        assert layers[: len(base)] == base
        assert len(layers) <= len(base) + 3 + (service == FIX), service


def test_the_gateway_has_the_library_that_it_needs(images: list[str]) -> None:
    docker("run", "--rm", image(FIX), "python3", "-c", "import tradewind_native.fix_sessions")
    lacking = docker("run", "--rm", image("risk"), "python3", "-c", "import tradewind_native.fix_sessions", check=False)
    assert "install it (Debian: libquickfix17)" in lacking.stderr


def test_no_layer_holds_a_secret_or_a_leftover(images: list[str]) -> None:
    secrets = [path for path in (ROOT / "docker/dev-secrets").iterdir() if path.name.endswith("password")]
    words = {path.read_bytes().strip() for path in secrets}
    assert words == {b"for-development-only"}
    runtime = [one for one in images if "/builder:" not in one]
    names: set[str] = set()
    with subprocess.Popen(["docker", "save", *runtime], stdout=subprocess.PIPE) as saving:
        assert saving.stdout is not None
        with tarfile.open(fileobj=saving.stdout, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is not None:
                    names |= _names_in_layer(content, words, member.name)
    assert saving.returncode == 0
    assert any(name.endswith("tradewind/runtime/cli.py") for name in names), "the layers were not looked into"
    forbidden = ("_history", ".netrc", "pip.conf", ".git/config", ".pem.key", "dev-secrets", "id_rsa")
    assert not [name for name in names if name.endswith(forbidden) or "/root/.cache/" in f"/{name}"]
    assert not [name for name in names if "/tests/test_" in name and "tradewind" in name]


def _names_in_layer(content: IO[bytes], words: set[bytes], layer: str) -> set[str]:
    """Names of the files in a layer; fails when one of them, or what is no layer, holds one of the words."""
    data = content.read()
    for word in words:
        assert word not in data, f"{layer} holds {word!r}"
    if data[257:262] != b"ustar":
        return set()
    found = subprocess.run(["tar", "--list"], input=data, capture_output=True, check=True, timeout=120)
    return set(found.stdout.decode().splitlines())


def _layers(reference: str) -> list[str]:
    layers: list[str] = json.loads(docker("image", "inspect", reference).stdout)[0]["RootFS"]["Layers"]
    return layers
