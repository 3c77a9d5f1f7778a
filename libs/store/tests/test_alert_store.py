"""Alerts and the queue of what is told of them, on a real database: one of two writers, one of two senders."""

import asyncio
from typing import Any

import pytest

from tradewind.store.alert_deliveries import MOST_IN_ONE, AlertDeliveries, Channel
from tradewind.store.alerts import (
    Alert,
    AlertRefused,
    AlertRepository,
    AlertState,
    NotificationKind,
    Severity,
    Telling,
)
from tradewind.store.database import Database

NS = 1_000_000_000
CHANNELS = ("email", "webhook")


def alert(subject: str = "execution", **changes: Any) -> Alert:
    values: dict[str, Any] = {
        "name": "ServiceAway",
        "subject": subject,
        "severity": Severity.CRITICAL,
        "summary": "away",
        "page": "docs/operating/alerts.md",
        "state": AlertState.OPEN,
        "first_at": NS,
        "last_at": NS,
        "openings": (NS,),
    }
    return Alert(**{**values, **changes})


def opened(*channels: str, due_at: int = 0) -> Telling:
    return Telling(kind=NotificationKind.OPENED, channels=channels or CHANNELS, due_at=due_at)


def ended(since: int) -> Telling:
    return Telling(kind=NotificationKind.RESOLVED, channels=CHANNELS, due_at=0, since=since)


def resolved(stored: Alert, now: int) -> Alert:
    return alert(
        stored.subject,
        alert_id=stored.alert_id,
        revision=stored.revision,
        state=AlertState.RESOLVED,
        resolved_at=now,
    )


async def stored(database: Database, one: Alert, telling: Telling | None, now: int = NS) -> Alert:
    saved = await AlertRepository(database).save(one, telling, now)
    assert saved is not None
    return saved


async def test_of_two_that_open_the_same_one_wins_and_tells(database: Database) -> None:
    repository = AlertRepository(database)
    saved = await asyncio.gather(*(repository.save(alert(), opened(), NS) for _ in range(8)))
    assert sum(one is not None for one in saved) == 1
    assert len(await AlertDeliveries(database).notifications()) == len(CHANNELS)


async def test_of_two_that_change_the_same_revision_one_wins_and_tells(database: Database) -> None:
    repository = AlertRepository(database)
    first = await stored(database, alert(), opened())
    changes = [repository.save(resolved(first, 2 * NS), ended(NS), 2 * NS) for _ in range(8)]
    assert sum(one is not None for one in await asyncio.gather(*changes)) == 1
    assert await repository.acknowledge(999, actor="anna", why="looking", now=1) is None
    with pytest.raises(AlertRefused, match="RESOLVED"):
        await repository.acknowledge(first.alert_id, actor="anna", why="looking", now=1)


async def test_an_acknowledgement_in_between_is_seen_by_the_revision(database: Database) -> None:
    repository = AlertRepository(database)
    first = await stored(database, alert(), None)
    taken = await repository.acknowledge(first.alert_id, actor="anna", why="looking", now=5)
    assert taken is not None
    assert (taken.state, taken.acknowledged_at, taken.revision) == (AlertState.ACKNOWLEDGED, 5, 2)
    assert await repository.acknowledge(first.alert_id, actor="bob", why="me too", now=6) == taken
    assert await repository.save(resolved(first, 7), None, 7) is None
    assert await repository.find(first.alert_id) == taken


async def test_one_message_is_claimed_by_one_and_by_the_next_when_the_claim_is_over(database: Database) -> None:
    queue = AlertDeliveries(database)
    await queue.register([Channel(channel="webhook", minimum=Severity.INFO)], NS)
    for number in range(3):
        await stored(database, alert(f"s-{number}"), opened("webhook"))
    claims = await asyncio.gather(*(queue.claim("webhook", NS, 10 * NS) for _ in range(8)))
    [first] = [one for one in claims if one is not None]
    assert [one.subject for one in first.told] == ["s-0", "s-1", "s-2"]
    # What comes meanwhile waits behind it.
    await stored(database, alert("later"), opened("webhook"))
    assert await queue.claim("webhook", 9 * NS, 20 * NS) is None
    second = await queue.claim("webhook", 10 * NS, 20 * NS)
    assert second is not None
    assert (second.delivery_id, second.attempts, len(second.told)) == (first.delivery_id, 2, 3)
    await queue.failed(second, "answered 503", 11 * NS, retry_at=15 * NS)
    assert await queue.claim("webhook", 14 * NS, 30 * NS) is None
    [channel] = await queue.channels()
    assert (channel.failing_since, channel.failures, channel.problem, channel.pending) == (
        11 * NS,
        1,
        "answered 503",
        4,
    )
    third = await queue.claim("webhook", 15 * NS, 30 * NS)
    assert third is not None
    await queue.sent(third, 16 * NS)
    [channel] = await queue.channels()
    assert (channel.failing_since, channel.failures, channel.sent_at, channel.pending) == (None, 0, 16 * NS, 1)
    last = await queue.claim("webhook", 16 * NS, 30 * NS)
    assert last is not None
    assert [one.subject for one in last.told] == ["later"]


async def test_a_message_holds_so_many_and_waits_for_its_moment(database: Database) -> None:
    queue = AlertDeliveries(database)
    for number in range(MOST_IN_ONE + 5):
        await stored(database, alert(f"s-{number:03}"), opened("webhook", due_at=5 * NS))
    assert await queue.claim("webhook", 4 * NS, 9 * NS) is None
    first = await queue.claim("webhook", 5 * NS, 9 * NS)
    assert first is not None
    assert len(first.told) == MOST_IN_ONE
    await queue.sent(first, 6 * NS)
    second = await queue.claim("webhook", 6 * NS, 9 * NS)
    assert second is not None
    assert len(second.told) == 5


async def test_the_end_is_told_to_those_who_were_told_the_beginning(database: Database) -> None:
    queue = AlertDeliveries(database)
    first = await stored(database, alert(), opened())
    delivery = await queue.claim("webhook", NS, 9 * NS)
    assert delivery is not None
    await queue.sent(delivery, NS)
    await stored(database, resolved(first, 2 * NS), ended(NS), 2 * NS)
    found = {(one.channel, one.kind, one.state) for one in await queue.notifications()}
    assert found == {
        ("webhook", "OPENED", "SENT"),
        ("webhook", "RESOLVED", "PENDING"),
        ("email", "OPENED", "DROPPED"),
    }


async def test_a_test_is_a_message_of_its_own_and_a_channel_that_is_no_more_is_told_nothing(database: Database) -> None:
    queue = AlertDeliveries(database)
    await queue.register([Channel(channel=name, minimum=Severity.INFO) for name in CHANNELS], NS)
    await stored(database, alert(), opened())
    await queue.ask_for_test(NS)
    first = await queue.claim("webhook", NS, 9 * NS)
    assert first is not None
    assert [one.kind for one in first.told] == ["OPENED"]
    await queue.sent(first, NS)
    second = await queue.claim("webhook", NS, 9 * NS)
    assert second is not None
    assert [one.kind for one in second.told] == ["TEST"]
    await queue.register([Channel(channel="webhook", minimum=Severity.WARNING)], 3 * NS)
    states = {(one.channel, one.state) for one in await queue.notifications()}
    assert states == {("webhook", "SENT"), ("webhook", "PENDING"), ("email", "DROPPED")}
    assert [(one.channel, one.configured) for one in await queue.channels()] == [("email", False), ("webhook", True)]


async def test_pages_follow_each_other_and_old_rows_are_forgotten(database: Database) -> None:
    repository = AlertRepository(database)
    for number in range(5):
        await stored(database, alert(f"s-{number}", last_at=number), None)
    over = await stored(database, alert("over"), opened())
    await stored(database, resolved(over, 2 * NS), ended(NS), 2 * NS)
    page = await repository.newest(unresolved=True, limit=2)
    assert [one.subject for one in page] == ["s-4", "s-3"]
    rest = await repository.newest(unresolved=True, after=(page[-1].last_at, page[-1].alert_id), limit=10)
    assert [one.subject for one in rest] == ["s-2", "s-1", "s-0"]
    with pytest.raises(ValueError, match="limit"):
        await repository.newest(unresolved=True, limit=0)
    assert await repository.forget_before(2 * NS) == 0
    assert await repository.forget_before(3 * NS) == 1
    assert await AlertDeliveries(database).notifications() == []


async def test_marks_are_remembered_and_forgotten(database: Database) -> None:
    queue = AlertDeliveries(database)
    await queue.remember({"service:a": (1, 5), "service:b": (1, 5)}, [])
    await queue.remember({"service:a": (2, 6)}, ["service:b"])
    assert await queue.marks() == {"service:a": (2, 6)}
