"""Settings of a start: what people stored goes before the environment, which goes before the defaults of the code."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tradewind.runtime.settings_form import form_of, problems
from tradewind.strategy.settings import Policy, StrategySettings

POLICY: Final = "policy"
"""Stored beside the other settings, with a command of its own."""


class SettingsRefused(ValueError):
    """Stored or wanted settings do not fit the strategy; one sentence per field."""


def form(kind: type[StrategySettings]) -> dict[str, Any]:
    """The JSON Schema of what people may set."""
    return form_of(kind, without=(POLICY,))


def merged(environment: StrategySettings, stored: Mapping[str, Any], policy: str | None) -> StrategySettings:
    """The settings of a start.

    Raises:
        SettingsRefused: a stored value does not fit.
    """
    kind = type(environment)
    if found := problems(form(kind), stored):
        raise SettingsRefused("; ".join(found))
    fields = {**values(environment), **stored, POLICY: policy or environment.policy}
    try:
        return msgspec.convert(fields, kind, strict=False)
    except ValueError as error:  # the decoder's own, or the struct's __post_init__
        raise SettingsRefused(str(error)) from error


def values(settings: StrategySettings) -> dict[str, Any]:
    """Settings by name as people read and write them, decimals as text; without the policy."""
    fields: dict[str, Any] = msgspec.to_builtins(settings)
    fields.pop(POLICY)
    return fields


def known_policy(word: str | None) -> Policy | None:
    """A policy by its word.

    Raises:
        SettingsRefused: there is none of that name.
    """
    if word is None:
        return None
    try:
        return Policy(word)
    except ValueError as error:
        raise SettingsRefused(
            f"policy: it takes one of {', '.join(str(policy) for policy in Policy)}, not {word[:60]!r}"
        ) from error
