"""The venue's own refusals, with the codes and the words of the exchange.

Source: Binance spot API, "Error Codes for Binance" (errors.md) and "HTTP Return Codes" (rest-api.md).
"""

from typing import Any, Final

_QUANTITY_RANGE: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_ID_RANGE: Final = "^[a-zA-Z0-9-_]{1,36}$"
_WHOLE_RANGE: Final = "^[0-9]{1,20}$"


class Refused(Exception):
    """An answer ``{"code": …, "msg": …}``; ``status`` is the HTTP status, ``retry_after_s`` only with 429 and 418.

    ``data`` is what a cancel-replace says of its two halves.
    """

    def __init__(
        self,
        code: int,
        message: str,
        status: int = 400,
        retry_after_s: int | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s
        self.data = data

    def body(self) -> dict[str, Any]:
        """What the client reads."""
        said: dict[str, Any] = {"code": self.code, "msg": self.message}
        return said if self.data is None else {**said, "data": self.data}


def overloaded() -> Refused:
    """-1008: the record of what happened cannot keep up."""
    return Refused(-1008, "Server is currently overloaded with other requests. Please try again in a few minutes.", 503)


def unavailable() -> Refused:
    """-1001: what was asked for cannot be answered now."""
    return Refused(-1001, "Internal error; unable to process your request. Please try again.", 503)


def too_much_weight(limit: int, retry_after_s: int) -> Refused:
    """-1003 with 429."""
    message = (
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
    )
    return Refused(-1003, message, 429, retry_after_s)


def too_many_orders(limit: int, retry_after_s: int) -> Refused:
    """-1015 with 429."""
    return Refused(-1015, f"Too many new orders; current limit is {limit} orders per 10 SECOND.", 429, retry_after_s)


def filter_failure(name: str) -> Refused:
    """-1013: a rule of exchangeInfo is broken."""
    return Refused(-1013, f"Filter failure: {name}")


def missing(parameter: str) -> Refused:
    """-1102."""
    return Refused(-1102, f"Mandatory parameter '{parameter}' was not sent, was empty/null, or malformed.")


def illegal_number(parameter: str) -> Refused:
    """-1100 for a price or a quantity."""
    return Refused(-1100, f"Illegal characters found in parameter '{parameter}'; legal range is '{_QUANTITY_RANGE}'.")


def illegal_whole(parameter: str) -> Refused:
    """-1100 for a number without decimals."""
    return Refused(-1100, f"Illegal characters found in parameter '{parameter}'; legal range is '{_WHOLE_RANGE}'.")


def illegal_id(parameter: str) -> Refused:
    """-1100 for a client's own id."""
    return Refused(-1100, f"Illegal characters found in parameter '{parameter}'; legal range is '{_ID_RANGE}'.")


def too_precise(parameter: str) -> Refused:
    """-1111."""
    return Refused(-1111, f"Parameter '{parameter}' has too much precision.")


def not_required(parameter: str) -> Refused:
    """-1106."""
    return Refused(-1106, f"Parameter '{parameter}' sent when not required.")


def out_of_range(parameter: str) -> Refused:
    """-1130."""
    return Refused(-1130, f"Data sent for parameter '{parameter}' is not valid.")


def invalid_symbol() -> Refused:
    """-1121."""
    return Refused(-1121, "Invalid symbol.")


def rejected(message: str) -> Refused:
    """-2010: the matching engine's no."""
    return Refused(-2010, message)


def unknown_cancel() -> Refused:
    """-2011: nothing of that name is open."""
    return Refused(-2011, "Unknown order sent.")


def replace_failed(data: dict[str, Any]) -> Refused:
    """-2022: neither half of a cancel-replace was done."""
    return Refused(-2022, "Order cancel-replace failed.", data=data)


def replace_partially_failed(data: dict[str, Any]) -> Refused:
    """-2021 with 409: one half of a cancel-replace was done."""
    return Refused(-2021, "Order cancel-replace partially failed.", 409, data=data)


def no_such_order() -> Refused:
    """-2013."""
    return Refused(-2013, "Order does not exist.")


INSUFFICIENT_BALANCE: Final = "Account has insufficient balance for requested action."
DUPLICATE_ORDER: Final = "Duplicate order sent."
WOULD_TAKE: Final = "Order would immediately match and take."
STP_NOT_ALLOWED: Final = "This symbol does not allow the specified self-trade prevention mode."
