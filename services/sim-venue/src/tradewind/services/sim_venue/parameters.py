"""The parameters of one request, checked as they are read.

Source: Binance spot API, "General Information on Endpoints": query string and body may be mixed.
"""

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl

from tradewind.services.sim_venue import refusals
from tradewind.services.sim_venue.amounts import AmountError, TooPrecise, parse_amount
from tradewind.services.sim_venue.refusals import Refused

MAX_PARAMETERS: Final = 64
_CLIENT_ID: Final = re.compile(r"[a-zA-Z0-9-_]{1,36}")
_WHOLE: Final = re.compile(r"[0-9]{1,19}")
_MAX_WHOLE: Final = 2**63 - 1


class Parameters:
    """Names and values of a request; each method raises Refused for what it cannot read."""

    def __init__(self, query: str, body: str = "") -> None:
        self._values: dict[str, str] = {}
        for text in (query, body):
            try:
                pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
            except ValueError:
                raise Refused(-1101, "Too many parameters sent for this endpoint.") from None
            for name, value in pairs:
                if name in self._values:
                    raise Refused(-1101, "Duplicate values for a parameter detected.")
                self._values[name] = value

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))

    def text(self, name: str) -> str:
        """A text that must be there."""
        if not (value := self._values.get(name)):
            raise refusals.missing(name)
        return value

    def optional(self, name: str) -> str | None:
        """A text, or None."""
        return self._values.get(name) or None

    def whole(self, name: str) -> int:
        """A whole number that must be there."""
        text = self.text(name)
        if not _WHOLE.fullmatch(text) or (number := int(text)) > _MAX_WHOLE:
            raise refusals.illegal_whole(name)
        return number

    def optional_whole(self, name: str) -> int | None:
        """A whole number, or None."""
        return self.whole(name) if name in self else None

    def limit(self, default: int, most: int) -> int:
        """The parameter ``limit``, cut to ``most``."""
        if "limit" not in self:
            return default
        number = self.whole("limit")
        if number < 1:
            raise refusals.out_of_range("limit")
        return min(number, most)

    def amount(self, name: str) -> int:
        """A price or quantity that must be there, as an amount."""
        try:
            return parse_amount(self.text(name))
        except AmountError:
            raise refusals.illegal_number(name) from None
        except TooPrecise:
            raise refusals.too_precise(name) from None

    def choice(self, name: str, choices: Collection[str], refusal: Refused, default: str | None = None) -> str:
        """One of some words; ``refusal`` is for any other."""
        value = self.optional(name) or default
        if value is None:
            raise refusals.missing(name)
        if value not in choices:
            raise refusal
        return value

    def client_id(self, name: str) -> str | None:
        """A client's own id, or None."""
        if name not in self:
            return None
        value = self.text(name)
        if not _CLIENT_ID.fullmatch(value):
            raise refusals.illegal_id(name)
        return value
