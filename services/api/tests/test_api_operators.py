"""Operators' words over REST and from the command line: taken as commands, refused in words."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import typer
from api_platform import ACCOUNT, RunningApi, api_settings, running_api, token_of
from click.testing import Result
from test_api_store import NOW, order, store
from typer.testing import CliRunner

from tradewind.bus.interface import Start
from tradewind.model.enums import Outcome, Resolution
from tradewind.model.identifiers import EXTERNAL
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.commands import orders
from tradewind.store.database import Database
from tradewind.store.leases import LeaseRepository
from tradewind.store.order_store import OrderBatch
from tradewind.store.recovery_rows import ReconciliationRow, RecoveryRows
from tradewind.wire.commands import ClaimOrder, ResolveOrder
from tradewind.wire.events import BalanceDifference, OrderOutcomeResolved
from tradewind.wire.topics import ORDERS_COMMANDS, ORDERS_EVENTS

DOUBTFUL, RESTING, FOREIGN = (f"ema-cross-1-000{n}" for n in (1, 2, 3))
WORD = {"resolution": "CANCELED", "why": "seen on the venue's page"}
CLAIM = {"strategy_id": "ema-cross", "why": "sent by hand for it"}
SAID = ["--why", "seen on the venue's page"]


@pytest.fixture
async def api(database: Database) -> AsyncIterator[RunningApi]:
    lease = await LeaseRepository(database).acquire("execution:test", "test")
    assert lease is not None
    rows = [
        order(1, status=OrderStatus.SUBMITTED, outcome=Outcome.UNKNOWN, unknown_since=NOW),
        order(2, status=OrderStatus.ACCEPTED),
        order(3, status=OrderStatus.ACCEPTED, strategy_id=EXTERNAL),
    ]
    difference = BalanceDifference(currency="USDT", at_venue=Decimal("1500.5"), in_books=Decimal(1000))
    compared = ReconciliationRow(ts=NOW, differences=(difference,), details={"open_orders": 2})
    await store(database, lease, OrderBatch(new_orders=rows, recovery=RecoveryRows(reconciliations=[compared])))
    async with running_api(database, api_settings()) as running:
        await running.eventually("/api/v1/orders?status=open", lambda page: len(page["orders"]) == 3)
        yield running


async def next_command(api: RunningApi) -> Any:
    subscription = await api.bus.subscribe(ORDERS_COMMANDS, start=Start.EARLIEST)
    [delivery] = await subscription.receive(timeout_s=5.0)
    await subscription.close()
    return delivery.payload


def resolved() -> OrderOutcomeResolved:
    """What the order path says of the doubtful order when it has taken the word."""
    return OrderOutcomeResolved(
        event_id="e1", correlation_id="c1", causation_id="", ts_event=NOW, ts_init=NOW, account_id=ACCOUNT,
        strategy_id=order(1).strategy_id, instrument_id=order(1).instrument_id,
        client_order_id=order(1).client_order_id, sequence=5, status=OrderStatus.SUBMITTED, reason="OPERATOR",
    )  # fmt: skip


async def cli(api: RunningApi, *arguments: str, answer: str = "") -> Result:
    app = typer.Typer()
    orders.register(app)
    return await asyncio.to_thread(
        CliRunner().invoke,
        app,
        [*arguments, "--url", api.origin],
        input=answer,
        env={"TRADEWIND_API_TOKEN": token_of("anna")},
    )


def words(said: Result) -> list[str]:
    """The lines of the command. The api under test logs into the same output, from the same process."""
    return [line for line in said.output.splitlines() if "service=api" not in line]


async def test_a_doubt_is_resolved_by_a_command_with_its_actor_and_reason(api: RunningApi) -> None:
    status, taken = await api.post(f"/api/v1/orders/{DOUBTFUL}/resolve", WORD)
    assert (status, taken["client_order_id"]) == (202, DOUBTFUL)
    command = await next_command(api)
    assert isinstance(command, ResolveOrder)
    assert (command.account_id, command.client_order_id) == (ACCOUNT, DOUBTFUL)
    assert (command.resolution, command.actor, command.why) == (Resolution.CANCELED, "anna", WORD["why"])


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (f"{RESTING}/resolve", WORD, 409),
        ("nobody-1-1/resolve", WORD, 404),
        (f"{DOUBTFUL}/resolve", WORD | {"resolution": "FILLED"}, 422),
        (f"{DOUBTFUL}/resolve", WORD | {"why": ""}, 422),
        (f"{DOUBTFUL}/resolve", WORD | {"actor": "anna"}, 422),
        (f"{RESTING}/claim", CLAIM, 409),
        (f"{FOREIGN}/claim", CLAIM | {"strategy_id": "No Name"}, 422),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_sent(
    api: RunningApi, path: str, body: dict[str, str], code: int
) -> None:
    assert (await api.post(f"/api/v1/orders/{path}", body))[0] == code
    assert await api.bus.replay(ORDERS_COMMANDS, from_offset=0) == []


async def test_an_external_order_is_claimed(api: RunningApi) -> None:
    assert (await api.post(f"/api/v1/orders/{FOREIGN}/claim", CLAIM))[0] == 202
    command = await next_command(api)
    assert isinstance(command, ClaimOrder)
    assert (command.client_order_id, command.strategy_id) == (FOREIGN, "ema-cross")


async def test_the_last_comparison_is_shown(api: RunningApi) -> None:
    _, shown = await api.get("/api/v1/reconciliation")
    assert shown == {
        "ts_event": str(NOW),
        "differences": [{"currency": "USDT", "at_venue": "1500.5", "in_books": "1000"}],
    }
    said = await cli(api, "accounts", "reconcile")
    assert said.exit_code == 1
    assert "USDT: 1500.5 at the venue, 1000 in the books" in said.output


async def test_the_command_line_lists_what_is_unknown(api: RunningApi) -> None:
    said = await cli(api, "orders", "list", "--unknown")
    assert (said.exit_code, len(words(said))) == (1, 1)
    assert DOUBTFUL in said.output
    assert "UNKNOWN for" in said.output
    everything = await cli(api, "orders", "list")
    assert len(words(everything)) == 3


async def test_the_command_line_asks_resolves_and_waits_until_it_took_effect(
    api: RunningApi, database: Database
) -> None:
    refused = await cli(api, "orders", "resolve", DOUBTFUL, "CANCELED", *SAID, answer="n\n")
    assert refused.exit_code == 1
    assert await api.bus.replay(ORDERS_COMMANDS, from_offset=0) == []
    asking = asyncio.ensure_future(cli(api, "orders", "resolve", DOUBTFUL, "CANCELED", *SAID, "--yes"))
    assert isinstance(await next_command(api), ResolveOrder)
    assert not asking.done()  # it waits for the order path's answer, which the rest of this test stands for
    await api.publisher.send(ORDERS_EVENTS, resolved())
    said = await asking
    assert said.exit_code == 0, said.output
    assert DOUBTFUL in words(said)[-1]
