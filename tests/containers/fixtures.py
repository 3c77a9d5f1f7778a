"""Fixtures: the engine, the images, and platforms that a module's tests share."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from containers.engine_kit import ROOT, VERSION, Platform, docker

from tradewind.store.testing import missing

BUILD_TIMEOUT_S: Final = 900.0
UP_WITHIN_S: Final = int(os.environ.get("TRADEWIND_TEST_UP_S", "90"))
"""What the platform may take from images to healthy. More only for machines that do other work at the same time."""


@pytest.fixture(scope="session")
def engine() -> str:
    """The engine's version."""
    if shutil.which("docker") is None:
        missing("containers", "there is no docker command on this machine")
    said = docker("info", "--format", "{{.ServerVersion}}", check=False)
    if said.returncode or not said.stdout.strip():
        missing("containers", f"no container engine answers: {said.stderr.strip()[-200:]}")
    return said.stdout.strip()


@pytest.fixture(scope="session")
def images(engine: str) -> list[str]:
    """Our images, built; those of others are there or can be pulled. Gives the references of ours."""
    environment = {"TRADEWIND_VERSION": VERSION}
    docker("buildx", "bake", "--file", "-", stdin=_images_py(), timeout_s=BUILD_TIMEOUT_S, environment=environment)
    for reference in _images_py("--third-party").split():
        if "grafana" in reference or docker("image", "inspect", reference, check=False).returncode == 0:
            continue
        if docker("pull", "--quiet", reference, check=False, timeout_s=300).returncode:
            missing("containers", f"the image {reference} is not here and cannot be pulled; run make images-local")
    return _images_py("--names").split()


@pytest.fixture(scope="module")
def kafka_platform(
    images: list[str], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Platform]:
    """The platform on Kafka, healthy, with secrets that nobody else has."""
    yield from _running("docker-compose.yml", tmp_path_factory.mktemp("secrets"), request)


@pytest.fixture(scope="module")
def rabbitmq_platform(
    images: list[str], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Platform]:
    """The platform on RabbitMQ, healthy."""
    yield from _running("docker/rabbitmq.yaml", tmp_path_factory.mktemp("secrets"), request)


def _running(file: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Platform]:
    secrets = folder / "made"
    subprocess.run([str(ROOT / "docker/make-secrets.sh"), str(secrets)], check=True, capture_output=True, timeout=30)
    platform = Platform(file, secrets, f"tradewind-test-{os.getpid()}")
    failed_before = request.session.testsfailed
    try:
        platform.up(wait_s=UP_WITHIN_S)
        yield platform
    finally:
        platform.close(log=request.session.testsfailed > failed_before)


def _images_py(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docker/images.py"), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "TRADEWIND_VERSION": VERSION},
    )
    if not arguments:
        json.loads(done.stdout)
    return done.stdout
