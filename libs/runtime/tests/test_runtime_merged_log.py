"""One log of many processes: whole lines, named, bounded, and nobody waits for it."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tradewind.runtime.logging import write_line
from tradewind.runtime.processes.line_splitting import LineSplitter
from tradewind.runtime.processes.merged_log import MergedLog


@contextmanager
def standard_error() -> Iterator[int]:
    """The reading end of a pipe that takes the place of standard error; pytest's own is back after the block."""
    reading, writing = os.pipe()
    before, stream = os.dup(2), sys.stderr
    os.dup2(writing, 2)
    os.close(writing)
    sys.stderr = sys.__stderr__
    try:
        yield reading
    finally:
        sys.stderr = stream
        os.dup2(before, 2)
        os.close(before)
        os.close(reading)


def read_events(pipe: int) -> list[dict[str, Any]]:
    return [json.loads(one) for one in read_text(pipe).splitlines()]


def read_text(pipe: int) -> str:
    return os.read(pipe, 1_000_000).decode()


def line(service: str, event: str, **more: Any) -> bytes:
    return json.dumps(
        {"ts": "2026-01-01T00:00:00Z", "level": "info", "service": service, "event": event, **more}
    ).encode()


def test_events_come_out_in_order_of_arrival_with_their_process() -> None:
    with standard_error() as pipe:
        with MergedLog("json") as log:
            log.add("feed", [line("feed", "one")])
            log.add("books", [line("database", "two"), b"only words"])
        found = read_events(pipe)
    assert [(one["service"], one.get("process"), one["event"]) for one in found] == [
        ("feed", None, "one"),
        ("database", "books", "two"),
        ("books", None, "only words"),
    ]


def test_text_for_people_has_the_traceback_under_its_event() -> None:
    with standard_error() as pipe:
        with MergedLog("console") as log:
            assert log.child_format == "lines"
            log.add("feed", [line("feed", "failed", exception="Traceback (most recent call last):\nValueError: no")])
        first, *rest = read_text(pipe).splitlines()
    assert "failed" in first
    assert "service=feed" in first
    assert rest == ["Traceback (most recent call last):", "ValueError: no"]


def test_the_supervisors_own_lines_go_the_same_way() -> None:
    with standard_error() as pipe:
        with MergedLog("json") as log:
            log.add("feed", [line("feed", "one")])
            write_line("of the supervisor")
        assert read_text(pipe).splitlines()[1] == "of the supervisor"


@pytest.mark.parametrize("text", [b"{broken", b'["no", "event"]', b'{"level": "info"}', b"\xff\xfe"])
def test_what_is_no_event_becomes_one(text: bytes) -> None:
    with standard_error() as pipe:
        with MergedLog("json") as log:
            log.add("feed", [text])
        [found] = read_events(pipe)
    assert (found["service"], found["event"]) == ("feed", text.decode("utf-8", "replace"))


def test_nobody_waits_for_a_reader_that_does_not_read_and_what_is_too_much_is_counted() -> None:
    with standard_error() as pipe, MergedLog("json", max_waiting_bytes=200_000) as log:
        for number in range(1_000):
            log.add("chatty", [line("chatty", "x" * 1_000, number=number)])  # a pipe takes 64 KiB
        log.add("quiet", [line("quiet", "heard")])
        text, shown, left_out = "", [-1], 0
        while len(shown) - 1 + left_out < 1_000 or '"heard"' not in text:
            text += read_text(pipe)
            found = [json.loads(one) for one in text.splitlines(keepends=True) if one.endswith("\n")]
            shown = [-1, *(one["number"] for one in found if "number" in one)]
            left_out = sum(one["lines"] for one in found if "lines" in one)
    assert shown == sorted(set(shown))
    assert left_out > 0


def test_lines_are_whole_however_they_come() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == [b"one"]
    assert splitter.feed(b"o\n\nthree") == [b"two", b""]
    assert splitter.flush() == [b"three"]
    assert splitter.flush() == []


@pytest.mark.parametrize("cuts", [[100], [7, 93], [10, 1, 89], [11, 89], [99, 1]])
def test_a_line_that_is_too_long_is_cut_and_the_next_one_is_whole(cuts: list[int]) -> None:
    splitter, found = LineSplitter(max_bytes=10), []
    data, place = b"x" * 90 + b"\nshort\n" + b"y" * 3, 0
    for size in cuts:
        found += splitter.feed(data[place : place + size])
        place += size
    assert found == [b"x" * 10 + b" ...[cut]", b"short"]
    assert splitter.flush() == [b"yyy"]
