"""The kit itself: an adapter that does not keep a promise is found out."""

import asyncio
import unittest
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tradewind.venue.adapters import FeedClient, VenueSettings
from tradewind.venue.checked_books.conformance_venues import OkxVenue
from tradewind.venue.checked_books.session import CheckedBookSession
from tradewind.venue.conformance import MARKET_DATA_CHECKS, MarketDataCheck, NotConforming, checking, run_check
from tradewind.wire.market_records import RecordArray, RecordSide, read_only

CHECKS: dict[str, MarketDataCheck] = {check.__name__: check for check in MARKET_DATA_CHECKS}


class SpoiledVenue(OkxVenue):
    """Its clients are spoiled before they are given out."""

    spoil: Any

    def make_client(self, symbols: str | None = None, stale_after_s: float = 15.0) -> FeedClient:
        client = super().make_client(symbols, stale_after_s)
        type(self).spoil(client)
        return client


def altering(change: Callable[[RecordArray], RecordArray]) -> Callable[[FeedClient], None]:
    """A client whose records are changed on their way to the handler."""

    def spoil(client: FeedClient) -> None:
        run = client.run

        async def altered(instruments: Any, handler: Any) -> None:
            say = handler.on_records
            handler.on_records = lambda records: say(read_only(change(records.copy())))
            await run(instruments, handler)

        client.run = altered  # type: ignore[method-assign]

    return spoil


def without_flags(records: RecordArray) -> RecordArray:
    records["flags"] = 0
    return records


def twice(records: RecordArray) -> RecordArray:
    return np.concatenate([records, records])


def in_milliseconds(records: RecordArray) -> RecordArray:
    records["ts_recv"] //= 1_000_000
    return records


def leaving_a_task(client: FeedClient) -> None:
    run = client.run

    async def forgetful(instruments: Any, handler: Any) -> None:
        LEFT.append(asyncio.create_task(asyncio.sleep(3_600)))
        await run(instruments, handler)

    client.run = forgetful  # type: ignore[method-assign]


LEFT: list[asyncio.Task[None]] = []


@pytest.mark.parametrize(
    ("check", "spoil", "complaint"),
    [
        ("a_hole_is_marked_and_the_book_taken_anew", altering(without_flags), "flag GAP"),
        ("statistics_count_what_came", altering(twice), "trades"),
        ("records_are_of_known_instruments_in_order_of_time", altering(in_milliseconds), "nanoseconds"),
        ("stopping_leaves_nothing", leaving_a_task, "left are"),
    ],
)
async def test_a_client_that_breaks_a_promise_is_found(
    check: str, spoil: Any, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "WAIT_S", 2.0)
    monkeypatch.setattr(SpoiledVenue, "spoil", staticmethod(spoil), raising=False)
    try:
        with pytest.raises(NotConforming, match=complaint):
            await run_check(CHECKS[check], SpoiledVenue)
    finally:
        while LEFT:
            LEFT.pop().cancel()


async def test_a_book_that_is_not_the_venues_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lying(OkxVenue):
        def levels(self, side: RecordSide) -> list[tuple[int, int]]:
            return [(price, size + 1) for price, size in super().levels(side)]

    monkeypatch.setattr(checking, "WAIT_S", 1.0)
    with pytest.raises(NotConforming, match="the venue's book after it connected"):
        await run_check(CHECKS["a_book_is_followed_from_its_first_moment"], Lying)


async def test_a_checksum_that_nobody_compares_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter's own code, with the one line taken out that looks for holes."""
    monkeypatch.setattr(checking, "WAIT_S", 1.0)
    monkeypatch.setattr("tradewind.venue.okx.market_data.OkxDialect.wrong", lambda *_: None)
    with pytest.raises(NotConforming, match="the status GAP"):
        await run_check(CHECKS["a_hole_is_marked_and_the_book_taken_anew"], OkxVenue)


async def test_a_frame_that_ends_everything_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("cannot read this")

    monkeypatch.setattr(CheckedBookSession, "_on_malformed", crash)
    with pytest.raises(RuntimeError, match="cannot read this"):
        await run_check(CHECKS["garbage_is_counted_and_the_feed_goes_on"], OkxVenue)


async def test_a_key_in_a_representation_is_found_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    class Keyed(OkxVenue):
        secrets = ("key-of-nobody",)

        def settings(self, symbols: str | None = None, stale_after_s: float = 15.0) -> VenueSettings:
            given = super().settings(symbols, stale_after_s)
            return VenueSettings(**{name: getattr(given, name) for name in given.__struct_fields__})

    monkeypatch.setattr(VenueSettings, "__repr__", lambda _: "VenueSettings(key-of-nobody)")
    with pytest.raises(NotConforming, match="a key or password is shown in repr of the settings") as caught:
        await run_check(CHECKS["no_secret_is_shown"], Keyed)
    assert "key-of-nobody" not in str(caught.value)


async def test_a_check_that_cannot_be_of_a_venue_says_why() -> None:
    class Exempt(OkxVenue):
        exempt = {"a_client_runs_again": "it never ends"}  # noqa: RUF012 - never changed

    with pytest.raises(unittest.SkipTest, match="okx: it never ends"):
        await run_check(CHECKS["a_client_runs_again"], Exempt)
