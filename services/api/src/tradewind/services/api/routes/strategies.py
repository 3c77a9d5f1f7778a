"""REST: strategies. What is asked becomes one command to the strategy's host, which checks it again and remembers it.

Reading is from memory: the last word of each host, and the newest lines of its log. The history of commands is read
from the store.
"""

import time
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from tradewind.model.identifiers import StrategyId
from tradewind.runtime.settings_form import MAX_VALUES, problems
from tradewind.services.api.by_hand.order_entry import Sentence
from tradewind.services.api.routes.access import Access, Accessed
from tradewind.services.api.routes.authorization import NOT_ALLOWED, ReadRight, StrategiesRight, audit
from tradewind.services.api.routes.orders import STORE_AWAY, PageLimit
from tradewind.services.api.routes.publishing import NOT_TAKEN, publish
from tradewind.services.api.store_bounds import bounded
from tradewind.services.api.view_model.queries import BadCursor
from tradewind.services.api.view_model.strategy_views import LogLineView, StrategyDetail, StrategyView, strategy_detail
from tradewind.services.api.view_model.views import Problem, Responses, ServiceView
from tradewind.store.strategy_control import StrategyHistory
from tradewind.wire.commands import ConfigureStrategy, StartStrategy, StopStrategy, StrategyCommand
from tradewind.wire.events import StrategyStatusChanged
from tradewind.wire.topics import STRATEGY_COMMANDS

router: Final = APIRouter(tags=["strategies"], responses={**NOT_ALLOWED})
_UNKNOWN: Final[Responses] = {404: {"model": Problem, "description": "No host has told of such a strategy"}}
_CONFLICT: Final[Responses] = {409: {"model": Problem, "description": "Not in this state, or an old version"}}
_COMMAND: Final[Responses] = {**_UNKNOWN, **_CONFLICT, **NOT_TAKEN, **STORE_AWAY}
StrategyName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,22}[a-z0-9]$", examples=["ema-cross"])]
NumberCursor = Annotated[str | None, Query(pattern=r"^[1-9][0-9]{0,17}$", examples=["120"])]
PolicyWord = Literal["resume", "flatten", "adopt", "hold"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    why: Sentence


class NewStart(_Body):
    """Start a strategy. ``policy`` is for this start alone: it ends a hold."""

    policy: Literal["resume", "flatten", "adopt"] | None = None


class NewStop(_Body):
    """Stop a strategy until it is started again. Its own policy without ``policy``: ``flatten`` closes its positions,
    ``hold`` leaves its orders where they are, the others cancel them."""

    policy: PolicyWord | None = None


class NewSettings(_Body):
    """All settings that go before the environment's; what is not named has the environment's value again.

    ``version`` is the one that was read. They count from the next start, which ``restart`` brings at once."""

    values: dict[str, Any] = Field(max_length=MAX_VALUES, examples=[{"fast_s": 0.5, "size": "0.05"}])
    version: int = Field(ge=0, le=2**31 - 1)
    restart: bool = False


class NewPolicy(_Body):
    """What a start does when checkpoint and store disagree, and what a stop does without a policy of its own."""

    policy: PolicyWord


class StrategyPage(TypedDict):
    """All strategies by name."""

    rows: list[StrategyView]
    next_cursor: str | None


class LogPage(TypedDict):
    """Lines of a log, newest first, as far back as this service has heard of them."""

    rows: list[LogLineView]
    next_cursor: str | None


class ChangeView(TypedDict):
    """One command and what it changed. ``refusal``: why it was not taken."""

    number: str
    ts: str
    action: Literal["START", "STOP", "CONFIGURE"]
    actor: str
    why: str
    refusal: str
    before: dict[str, Any]
    after: dict[str, Any]


class ChangePage(TypedDict):
    """Commands to a strategy, newest first."""

    rows: list[ChangeView]
    next_cursor: str | None


class StrategyTaken(TypedDict):
    """A command is on its way; the strategy's row tells what became of it."""

    event_id: str
    correlation_id: str
    strategy_id: str


@router.get("/strategies")
async def strategies(access: Accessed, who: ReadRight) -> StrategyPage:
    """Every strategy whose host has told of it."""
    return StrategyPage(rows=access.state.strategies.rows(access.state.equity, _services(access)), next_cursor=None)


@router.get("/strategies/{strategy_id}", responses=_UNKNOWN)
async def strategy(access: Accessed, who: ReadRight, strategy_id: StrategyName) -> StrategyDetail:
    """One strategy with its settings, and the form that they have."""
    return _detail(access, _known(access, strategy_id))


@router.get("/strategies/{strategy_id}/logs", responses=_UNKNOWN)
async def logs(
    access: Accessed, who: ReadRight, strategy_id: StrategyName, limit: PageLimit = 100, cursor: NumberCursor = None
) -> LogPage:
    """What the strategy has logged."""
    _known(access, strategy_id)
    rows = access.state.strategies.lines(strategy_id, limit, int(cursor) if cursor else None)
    return LogPage(rows=rows, next_cursor=rows[-1]["number"] if len(rows) == limit else None)


@router.get("/strategies/{strategy_id}/changes", responses={**_UNKNOWN, **STORE_AWAY})
async def changes(
    access: Accessed, who: ReadRight, strategy_id: StrategyName, limit: PageLimit = 100, cursor: NumberCursor = None
) -> ChangePage:
    """Who asked what of the strategy, when and why."""
    _known(access, strategy_id)
    before = int(cursor) if cursor else None
    if before is not None and before >= 2**63:
        raise BadCursor("the cursor was not given out by this server; begin again without one")
    async with bounded(access.settings.query_timeout_s):
        found = await StrategyHistory(access.context.database).page(StrategyId(strategy_id), limit, before)
    rows = [
        ChangeView(
            number=str(number),
            ts=str(one.ts),
            action=one.action,
            actor=one.actor,
            why=one.why,
            refusal=one.refusal,
            before=one.before,
            after=one.after,
        )
        for number, one in found
    ]
    return ChangePage(rows=rows, next_cursor=rows[-1]["number"] if len(rows) == limit else None)


@router.post("/strategies/{strategy_id}/start", status_code=202, responses=_COMMAND)
async def start(
    access: Accessed, who: StrategiesRight, request: Request, strategy_id: StrategyName, wanted: NewStart
) -> StrategyTaken:
    """Start a strategy that is stopped, held or FAILED."""
    status = _known(access, strategy_id)
    state = _detail(access, status)["state"]
    if state in ("RUNNING", "STARTING") and status.wanted == "RUNNING" and wanted.policy is None:
        raise HTTPException(409, f"{strategy_id} is {state} already")
    command = StartStrategy(
        **_message(access), strategy_id=StrategyId(strategy_id), actor=who.name, why=wanted.why, policy=wanted.policy
    )
    after = "RUNNING" + (f", policy {wanted.policy}" if wanted.policy else "")
    await audit(
        access, who, action="strategy.start", subject=f"strategy:{strategy_id}", before=state, after=after,
        why=wanted.why,
    )  # fmt: skip
    return await _send(access, request, command)


@router.post("/strategies/{strategy_id}/stop", status_code=202, responses=_COMMAND)
async def stop(
    access: Accessed, who: StrategiesRight, request: Request, strategy_id: StrategyName, wanted: NewStop
) -> StrategyTaken:
    """Stop a strategy. Its service stays, and keeps it stopped over every restart."""
    status = _known(access, strategy_id)
    state = _detail(access, status)["state"]
    if state == "STOPPED" and status.wanted == "STOPPED":
        raise HTTPException(409, f"{strategy_id} is STOPPED already")
    command = StopStrategy(
        **_message(access), strategy_id=StrategyId(strategy_id), actor=who.name, why=wanted.why, policy=wanted.policy
    )
    await audit(
        access, who, action="strategy.stop", subject=f"strategy:{strategy_id}", before=state,
        after=f"STOPPED, policy {wanted.policy or status.policy}", why=wanted.why, urgent=True,
    )  # fmt: skip
    return await _send(access, request, command)


@router.put("/strategies/{strategy_id}/settings", status_code=202, responses=_COMMAND)
async def settings(
    access: Accessed, who: StrategiesRight, request: Request, strategy_id: StrategyName, wanted: NewSettings
) -> StrategyTaken:
    """Store settings. The present start keeps its own unless ``restart`` is given."""
    status = _known(access, strategy_id)
    detail = _detail(access, status)
    if found := problems(detail["schema"], wanted.values):
        raise HTTPException(422, "; ".join(found))
    _refuse_old(status, wanted.version)
    before = {name: value for name, value in detail["settings"].items() if name in wanted.values}
    command = ConfigureStrategy(
        **_message(access),
        strategy_id=StrategyId(strategy_id),
        actor=who.name,
        why=wanted.why,
        version=wanted.version,
        settings=_json(wanted.values),
        restart=wanted.restart,
    )
    await audit(
        access, who, action="strategy.settings", subject=f"strategy:{strategy_id}", before=_json(before),
        after=_json(wanted.values), why=wanted.why,
    )  # fmt: skip
    return await _send(access, request, command)


@router.put("/strategies/{strategy_id}/policy", status_code=202, responses=_COMMAND)
async def policy(
    access: Accessed, who: StrategiesRight, request: Request, strategy_id: StrategyName, wanted: NewPolicy
) -> StrategyTaken:
    """Store the checkpoint policy. A strategy that is held is started with ``start`` and a policy."""
    status = _known(access, strategy_id)
    command = ConfigureStrategy(
        **_message(access),
        strategy_id=StrategyId(strategy_id),
        actor=who.name,
        why=wanted.why,
        version=status.version,
        policy=wanted.policy,
    )
    await audit(
        access, who, action="strategy.policy", subject=f"strategy:{strategy_id}", before=status.policy,
        after=wanted.policy, why=wanted.why,
    )  # fmt: skip
    return await _send(access, request, command)


async def _send(access: Access, request: Request, command: StrategyCommand) -> StrategyTaken:
    await publish(access, request, STRATEGY_COMMANDS, command.strategy_id, command)
    return StrategyTaken(
        event_id=command.event_id, correlation_id=command.correlation_id, strategy_id=command.strategy_id
    )


def _known(access: Access, strategy_id: str) -> StrategyStatusChanged:
    status = access.state.strategies.find(strategy_id)
    if status is None:
        raise HTTPException(404, f"no host has told of a strategy {strategy_id}; is its service running?")
    return status


def _refuse_old(status: StrategyStatusChanged, version: int) -> None:
    if version != status.version:
        raise HTTPException(
            409, f"the settings are at version {status.version}, these are for version {version}; read them again"
        )


def _detail(access: Access, status: StrategyStatusChanged) -> StrategyDetail:
    by_name = {service["name"]: service for service in _services(access)}
    return strategy_detail(status, access.state.equity.get((status.account_id, status.strategy_id)), by_name)


def _services(access: Access) -> list[ServiceView]:
    return access.composer.health()["services"]


def _message(access: Access) -> dict[str, Any]:
    event_id, now_ns = access.event_ids(), time.time_ns()
    return {
        "event_id": event_id,
        "correlation_id": event_id,
        "causation_id": "",
        "ts_event": now_ns,
        "ts_init": now_ns,
    }


def _json(values: dict[str, Any]) -> str:
    return msgspec.json.encode(values).decode()
