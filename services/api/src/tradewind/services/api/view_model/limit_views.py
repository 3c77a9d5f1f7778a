"""Limits with what is used of them, as the execution service last told."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from typing_extensions import TypedDict

from tradewind.services.api.view_model.order_views import money_text
from tradewind.services.api.view_model.state import ViewState
from tradewind.wire.events import LimitUsed

_ORDERS: Final = "orders"
_MONEY: Final = "quote currency"


class LimitView(TypedDict):
    """One limit of one scope. ``share`` is used by limit, null where the limit is 0; ``tripped``: nothing is left."""

    scope: str
    name: str
    used: str
    limit: str
    share: float | None
    unit: str
    tripped: bool


class LimitPage(TypedDict):
    """All limits that are set, by scope and name."""

    rows: list[LimitView]


def limit_views(state: ViewState) -> list[LimitView]:
    """Every account's limits."""
    found = (limit_view(use) for told in state.limits.values() for use in told.uses)
    return sorted(found, key=lambda row: (row["scope"], row["name"]))


def limit_view(use: LimitUsed) -> LimitView:
    """One limit as text."""
    text = limit_text(use.name)
    return LimitView(
        scope=use.scope,
        name=use.name,
        used=text(use.used),
        limit=text(use.limit),
        share=round(float(use.used / use.limit), 4) if use.limit else None,
        unit=_MONEY if text is money_text else _ORDERS,
        tripped=use.used >= use.limit,
    )


def limit_text(name: str) -> Callable[[Decimal], str]:
    """How the amounts of a limit are written: orders are whole."""
    return _whole if name.startswith("max_orders") or name == "max_open_orders" else money_text


def _whole(amount: Decimal) -> str:
    return f"{amount:.0f}"
