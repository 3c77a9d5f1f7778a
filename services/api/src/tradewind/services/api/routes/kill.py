"""REST: kill switches. What is asked becomes one command to the risk service; the store tells how far each has come."""

import time
from typing import Final, Literal

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict

from tradewind.model.enums import TradingState
from tradewind.services.api.by_hand.order_entry import Scope, Sentence
from tradewind.services.api.routes.access import Access, Accessed
from tradewind.services.api.routes.authorization import NOT_ALLOWED, Identity, ReadRight, RiskRight, audit
from tradewind.services.api.routes.orders import STORE_AWAY
from tradewind.services.api.routes.publishing import NOT_TAKEN, publish
from tradewind.services.api.view_model.kill_board import kill_switch_view
from tradewind.services.api.view_model.views import KillStepView, KillSwitchView, Problem, Taken
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.kill_switches import KillSwitch, KillSwitchRefused, check_release
from tradewind.wire.commands import EngageKillSwitch, ReleaseKillSwitch
from tradewind.wire.topics import RISK_COMMANDS

router: Final = APIRouter(tags=["kill switches"], responses=NOT_ALLOWED)


class NewKillSwitch(BaseModel):
    """Halt a scope, cancel what rests, close its positions if asked, and prove it flat."""

    model_config = ConfigDict(extra="forbid", strict=True)

    scope: Scope
    flatten: bool = False
    why: Sentence


class NewRelease(BaseModel):
    """Give a scope back to trading. ``force`` does it without the proof that it is flat."""

    model_config = ConfigDict(extra="forbid", strict=True)

    scope: Scope
    state: Literal["ACTIVE", "REDUCING"] = "ACTIVE"
    force: bool = False
    why: Sentence


@router.get("/kill-switches", responses=STORE_AWAY)
async def kill_switches(access: Accessed, who: ReadRight) -> list[KillSwitchView]:
    """The engaged ones first, then the last released."""
    return [kill_switch_view(switch) for switch in await access.queries.kill_switches()]


@router.get("/kill-switches/{kill_id}/steps", responses=STORE_AWAY)
async def steps(access: Accessed, who: ReadRight, kill_id: int) -> list[KillStepView]:
    """The way of one engagement, oldest first."""
    if not 0 < kill_id < 2**63:
        return []
    found = await access.queries.kill_steps(kill_id)
    return [
        KillStepView(stage=step.stage, reason=step.reason, actor=step.actor, ts_event=str(step.ts)) for step in found
    ]


@router.post("/kill-switches", status_code=202, responses=NOT_TAKEN)
async def engage(access: Accessed, who: RiskRight, request: Request, wanted: NewKillSwitch) -> Taken:
    """Engage the kill switch of a scope, or add ``flatten`` to one that is engaged."""
    event_id, now_ns = access.event_ids(), time.time_ns()
    command = EngageKillSwitch(
        event_id=event_id,
        correlation_id=event_id,
        causation_id="",
        ts_event=now_ns,
        ts_init=now_ns,
        scope=wanted.scope,
        flatten=wanted.flatten,
        actor=who.name,
        why=wanted.why,
    )
    after = "engaged, flatten" if wanted.flatten else "engaged"
    await audit(access, who, action="kill.engage", subject=wanted.scope, after=after, why=wanted.why, urgent=True)
    await publish(access, request, RISK_COMMANDS, wanted.scope, command)
    return Taken(event_id=event_id, correlation_id=event_id, scope=wanted.scope)


@router.post("/kill-switches/release", status_code=202, responses={409: {"model": Problem}, **NOT_TAKEN, **STORE_AWAY})
async def release(access: Accessed, who: RiskRight, request: Request, wanted: NewRelease) -> Taken:
    """Release a kill switch that is FLAT, or any with ``force``: another person than the one who engaged it."""
    state = TradingState(wanted.state)
    try:
        switch = check_release(await _engaged(access, wanted.scope), wanted.scope, state, force=wanted.force)
    except KillSwitchRefused as error:
        raise HTTPException(409, str(error)) from error
    _refuse_own(switch, who)
    event_id, now_ns = access.event_ids(), time.time_ns()
    command = ReleaseKillSwitch(
        event_id=event_id,
        correlation_id=event_id,
        causation_id="",
        ts_event=now_ns,
        ts_init=now_ns,
        scope=wanted.scope,
        state=state,
        force=wanted.force,
        actor=who.name,
        why=wanted.why,
    )
    after = f"{state}, by force" if wanted.force else state
    await audit(
        access, who, action="kill.release", subject=wanted.scope, before=switch.stage, after=after, why=wanted.why
    )
    await publish(access, request, RISK_COMMANDS, wanted.scope, command)
    return Taken(event_id=event_id, correlation_id=event_id, scope=wanted.scope)


def _refuse_own(switch: KillSwitch, who: Identity) -> None:
    if switch.engaged_by == who.name:
        raise HTTPException(
            409, f"{who.name} engaged the kill switch of {switch.scope}; another person must look at it and release it"
        )


async def refuse_while_engaged(access: Access, scope: str) -> None:
    """A plain trading state does not end a kill switch; the risk service refuses it too, and here it is said at once.

    Raises:
        HTTPException: 409, with what to do.
    """
    try:
        engaged = await _engaged(access, scope)
    except DatabaseUnavailable:
        return  # the risk service decides
    if engaged is not None:
        raise HTTPException(
            409, f"the kill switch of {scope} is engaged ({engaged.stage}); end it with: tradewind kill release {scope}"
        )


async def _engaged(access: Access, scope: str) -> KillSwitch | None:
    switches = await access.queries.kill_switches()
    return next((one for one in switches if one.scope == scope and one.released_at is None), None)
