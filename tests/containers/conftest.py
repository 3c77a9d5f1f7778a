"""Tests of images and compose on a real engine. They take minutes: for `make test-containers`, not `make test`."""

import os

if not os.environ.get("TRADEWIND_TEST_CONTAINERS"):
    collect_ignore_glob = ["test_*.py"]

from containers.fixtures import engine, images, kafka_platform, rabbitmq_platform

__all__ = ["engine", "images", "kafka_platform", "rabbitmq_platform"]
