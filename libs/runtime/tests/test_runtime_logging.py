"""Logs: one form for all lines, no secret in any, a flood of the same thing told in summaries."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tradewind.runtime.logging import RateLimitedLog, configure_logging, get_logger


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_json_line_has_the_four_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    get_logger("execution").info("order accepted", client_order_id="ema-cross-1-1")
    [line] = _lines(capsys)
    assert line.pop("ts").endswith("Z")
    assert line == {
        "service": "execution",
        "event": "order accepted",
        "level": "info",
        "client_order_id": "ema-cross-1-1",
    }


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "json")
    get_logger("a").info("quiet")
    get_logger("a").warning("loud")
    assert [line["event"] for line in _lines(capsys)] == ["loud"]


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize(
    "key", ["secret", "venue_api_secret", "password", "api_key", "X-MBX-APIKEY", "signature", "postgres_dsn"]
)
def test_secrets_are_never_written(capsys: pytest.CaptureFixture[str], log_format: str, key: str) -> None:
    configure_logging("info", log_format)
    get_logger("a").info("connected", **{key: "hunter2"})
    get_logger("a").info("request", headers={key: "hunter2", "accept": "all"})
    written = capsys.readouterr().err
    assert "hunter2" not in written
    assert "***" in written
    assert "accept" in written


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    configure_logging("info", log_format)

    def fail() -> None:
        held = "hun" + "ter2"
        raise ValueError(f"something of {len(held)} letters")

    try:
        fail()
    except ValueError as error:
        get_logger("a").error("failed", exc_info=error)
    written = capsys.readouterr().err
    assert "something of 7 letters" in written
    assert "hunter2" not in written


def test_lines_of_other_libraries_have_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    logging.getLogger("asyncio").warning("slow callback: %s", "on_tick")
    [line] = _lines(capsys)
    assert (line["service"], line["level"], line["event"]) == ("asyncio", "warning", "slow callback: on_tick")


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_first_of_each_kind_is_written_and_the_rest_are_summed_up() -> None:
    clock = Clock()
    with structlog.testing.capture_logs() as lines:
        limited = RateLimitedLog(get_logger("market-data"), interval_s=10.0, clock=clock)
        for number in range(5):
            limited.warning("malformed", "frame dropped", frame=number)
        limited.warning("unknown", "frame dropped", frame=9)
        assert [(line["kind"], line["frame"]) for line in lines] == [("malformed", 0), ("unknown", 9)]
        clock.now_s += 10.0
        limited.warning("malformed", "frame dropped", frame=6)
        assert (lines[-1]["event"], lines[-1]["kind"], lines[-1]["count"]) == ("repeated", "malformed", 5)
        limited.warning("malformed", "frame dropped", frame=7)
        assert len(lines) == 3
        limited.flush()
        assert (lines[-1]["kind"], lines[-1]["count"]) == ("malformed", 1)
        limited.flush()
        assert len(lines) == 4


def test_kinds_are_bounded() -> None:
    with structlog.testing.capture_logs() as lines:
        limited = RateLimitedLog(get_logger("a"), clock=Clock())
        for number in range(1_000):
            limited.warning(f"kind {number}", "dropped")
        limited.flush()
    assert len(lines) == 258
    assert (lines[-1]["kind"], lines[-1]["count"]) == ("other", 743)
