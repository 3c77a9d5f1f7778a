"""Scopes of a trading state: ``firm``, ``account:VENUE-name``, ``strategy:name``, ``instrument:SYMBOL.VENUE``."""

import re
from typing import Final, TypeAlias

import msgspec

from tradewind.model.enums import TradingState
from tradewind.model.identifiers import EXTERNAL, AccountId, IdentifierError, InstrumentId, StrategyId, strategy_id
from tradewind.wire.commands import EngageKillSwitch, ReleaseKillSwitch, SetTradingState

ByHand: TypeAlias = SetTradingState | EngageKillSwitch | ReleaseKillSwitch
"""Commands that somebody gives for a scope, with a reason."""

LONGEST_TEXT: Final = 500
_ACCOUNT: Final = re.compile(r"[A-Z0-9_]{1,32}-[A-Za-z0-9_-]{1,64}")
_INSTRUMENT: Final = re.compile(r"[^\s.:]{1,64}\.[A-Z0-9_]{1,32}")


class InvalidRequest(ValueError):
    """The command cannot be obeyed; the message says what it must look like, and goes with it to the dead letters."""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a state is about, taken apart: at most one of the three is set, none for the whole firm."""

    text: str
    account_id: AccountId | None = None
    strategy_id: StrategyId | None = None
    instrument_id: InstrumentId | None = None


def parse_scope(text: str) -> Scope:
    """The parts of a scope.

    Raises:
        InvalidRequest: it has none of the four forms.
    """
    if text == "firm":
        return Scope(text=text)
    kind, _, name = text.partition(":")
    if kind == "account" and _ACCOUNT.fullmatch(name):
        return Scope(text=text, account_id=AccountId(name))
    if kind == "instrument" and _INSTRUMENT.fullmatch(name):
        return Scope(text=text, instrument_id=InstrumentId(name))
    if kind == "strategy":
        try:
            return Scope(text=text, strategy_id=EXTERNAL if name == EXTERNAL else strategy_id(name))
        except IdentifierError as error:
            raise InvalidRequest(f"scope {text!r}: {error}") from error
    raise InvalidRequest(
        f"scope {text!r}: use firm, account:BINANCE-main, strategy:ema-cross or instrument:BTCUSDT.BINANCE"
    )


def check_request(command: ByHand) -> Scope:
    """The scope of a command that may be obeyed.

    Raises:
        InvalidRequest: its scope, state, actor or reason is not in order.
    """
    scope = parse_scope(command.scope)
    if not isinstance(command, EngageKillSwitch) and command.state not in tuple(TradingState):
        raise InvalidRequest(f"state {command.state!r}: use {', '.join(TradingState)}")
    for name, text in (("actor", command.actor), ("why", command.why)):
        if not text.strip():
            raise InvalidRequest(f"{name} is empty: the audit needs to know")
        if len(text) > LONGEST_TEXT or not text.isprintable():
            raise InvalidRequest(f"{name}: use at most {LONGEST_TEXT} printable characters")
    return scope
