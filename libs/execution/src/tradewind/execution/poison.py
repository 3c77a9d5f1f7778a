"""Commands that no store and no venue could hold: put aside with the reason instead of planned."""

import re
from typing import Final

from tradewind.wire.commands import (
    BeginStrategyRun,
    CancelAllOrders,
    CancelOrder,
    ClaimOrder,
    ResolveOrder,
    SubmitOrder,
)

# Binance's newClientOrderId; other venues are not stricter.
_CLIENT_ORDER_ID: Final = re.compile(r"[A-Za-z0-9.:/_-]{1,36}")
_NAME: Final = re.compile(r"[\x21-\x7e]{1,128}")


def fault_of(command: object) -> str | None:
    """Why a message on the command topic cannot be an order command, or None when it can."""
    if isinstance(command, BeginStrategyRun):
        return None
    if not isinstance(command, SubmitOrder | CancelOrder | CancelAllOrders | ResolveOrder | ClaimOrder):
        return f"{type(command).__name__} is no order command"
    if not isinstance(command, CancelAllOrders) and not _CLIENT_ORDER_ID.fullmatch(command.client_order_id):
        return f"client_order_id {command.client_order_id[:50]!r}: use 1 to 36 of A-Z a-z 0-9 . : / _ -"
    names = {"event_id": command.event_id, "correlation_id": command.correlation_id}
    if isinstance(command, ClaimOrder):
        names["strategy_id"] = command.strategy_id
    if isinstance(command, ResolveOrder | ClaimOrder) and "\x00" in command.actor + command.why:
        return "actor, why: none of their characters may be NUL"
    if isinstance(command, SubmitOrder):
        names |= {"strategy_id": command.strategy_id, "instrument_id": command.instrument_id}
    for field, text in names.items():
        if not _NAME.fullmatch(text):
            return f"{field} {text[:50]!r}: use 1 to 128 printable ASCII characters without spaces"
    if "\x00" in command.causation_id or len(command.causation_id) > 256:
        return "causation_id: at most 256 characters, none of them NUL"
    return None
