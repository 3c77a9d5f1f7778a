"""REST: an operator's word on single orders, and how the account at the venue compares with the books."""

import time
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from tradewind.model.enums import Outcome, Resolution
from tradewind.model.identifiers import EXTERNAL, StrategyId
from tradewind.model.orders import Order
from tradewind.services.api.by_hand.order_entry import Sentence
from tradewind.services.api.routes.access import Access, Accessed
from tradewind.services.api.routes.authorization import NOT_ALLOWED, Identity, ReadRight, RiskRight, audit
from tradewind.services.api.routes.orders import STORE_AWAY, OrderIdPath, find_order
from tradewind.services.api.routes.publishing import NOT_TAKEN, publish
from tradewind.services.api.view_model.views import Problem, Taken
from tradewind.wire.commands import ClaimOrder, OperatorCommand, ResolveOrder
from tradewind.wire.topics import ORDERS_COMMANDS

router: Final = APIRouter(tags=["operators"], responses=NOT_ALLOWED)


class NewResolution(BaseModel):
    """What a person has found out at the venue of an order whose outcome is UNKNOWN."""

    model_config = ConfigDict(extra="forbid", strict=True)

    resolution: Literal["NOT_AT_VENUE", "CANCELED", "EXPIRED"]
    why: Sentence


class NewClaim(BaseModel):
    """Give an open order of EXTERNAL to a strategy: its later fills go to that strategy's book."""

    model_config = ConfigDict(extra="forbid", strict=True)

    strategy_id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,22}[a-z0-9]$", examples=["ema-cross"])]
    why: Sentence


class BalanceDifferenceView(TypedDict):
    """One currency that differs; totals as decimal strings."""

    currency: str
    at_venue: str
    in_books: str


class ReconciliationView(TypedDict):
    """The last comparison whose answer was another one than before; ``ts_event`` is null when there was none."""

    ts_event: str | None
    differences: list[BalanceDifferenceView]


@router.post(
    "/orders/{client_order_id}/resolve",
    status_code=202,
    responses={404: {"model": Problem}, 409: {"model": Problem}, **NOT_TAKEN, **STORE_AWAY},
)
async def resolve(
    access: Accessed, who: RiskRight, request: Request, client_order_id: OrderIdPath, wanted: NewResolution
) -> Taken:
    """End the doubt about an order by an operator's word. The audit keeps who said it, and why."""
    order = await find_order(access, client_order_id)
    if order.outcome is not Outcome.UNKNOWN:
        raise HTTPException(409, f"the outcome of {client_order_id} is not UNKNOWN; it is {order.status.value}")
    command = ResolveOrder(
        **_story(access, order),
        account_id=order.account_id,
        client_order_id=order.client_order_id,
        resolution=Resolution(wanted.resolution),
        actor=who.name,
        why=wanted.why,
    )
    await _audit(access, who, "order.resolve", command, order.outcome, wanted.resolution)
    return await _give(access, request, command)


@router.post(
    "/orders/{client_order_id}/claim",
    status_code=202,
    responses={404: {"model": Problem}, 409: {"model": Problem}, **NOT_TAKEN, **STORE_AWAY},
)
async def claim(
    access: Accessed, who: RiskRight, request: Request, client_order_id: OrderIdPath, wanted: NewClaim
) -> Taken:
    """Move an order that nobody of ours made to a strategy."""
    order = await find_order(access, client_order_id)
    if order.strategy_id != EXTERNAL or order.status.is_closed:
        raise HTTPException(
            409,
            f"{client_order_id} is {order.strategy_id}'s and {order.status.value}; open orders of EXTERNAL can move",
        )
    command = ClaimOrder(
        **_story(access, order),
        account_id=order.account_id,
        client_order_id=order.client_order_id,
        strategy_id=StrategyId(wanted.strategy_id),
        actor=who.name,
        why=wanted.why,
    )
    await _audit(access, who, "order.claim", command, order.strategy_id, wanted.strategy_id)
    return await _give(access, request, command)


@router.get("/reconciliation", responses=STORE_AWAY)
async def reconciliation(access: Accessed, who: ReadRight) -> ReconciliationView:
    """By how much the venue's balances and our books differ."""
    row = await access.queries.reconciliation()
    if row is None:
        return ReconciliationView(ts_event=None, differences=[])
    return ReconciliationView(
        ts_event=str(row.ts),
        differences=[
            BalanceDifferenceView(currency=one.currency, at_venue=f"{one.at_venue:f}", in_books=f"{one.in_books:f}")
            for one in row.differences
        ],
    )


def _story(access: Access, order: Order) -> dict[str, Any]:
    event_id, now_ns = access.event_ids(), time.time_ns()
    return {
        "event_id": event_id,
        "correlation_id": order.correlation_id or event_id,
        "causation_id": "",
        "ts_event": now_ns,
        "ts_init": now_ns,
    }


async def _audit(access: Access, who: Identity, action: str, command: OperatorCommand, before: str, after: str) -> None:
    await audit(
        access, who, action=action, subject=command.client_order_id, before=before, after=after, why=command.why
    )


async def _give(access: Access, request: Request, command: OperatorCommand) -> Taken:
    await publish(access, request, ORDERS_COMMANDS, command.account_id, command)
    return Taken(
        event_id=command.event_id, correlation_id=command.correlation_id, client_order_id=command.client_order_id
    )
