"""What the FIX message kernel and its twin share: the record of an ExecutionReport, and the refusal."""

from typing import NamedTuple


class FixMessageError(ValueError):
    """Bytes that are not a whole FIX message, or a field that is not what its tag says."""


class ExecutionReport(NamedTuple):
    """FIX 4.2 and 4.4 ExecutionReport (35=8).

    Texts that are not in the message are empty, numbers 0. Prices are mantissas of the price's precision, quantities of
    the quantity's; ``average_price`` (6) is left as text, because venues round it as they like.
    """

    sequence: int
    sender: str
    target: str
    possible_duplicate: bool
    possible_resend: bool
    order_id: str
    client_order_id: str
    original_client_order_id: str
    execution_id: str
    execution_type: str
    order_status: str
    symbol: str
    side: str
    quantity: int
    price: int
    last_quantity: int
    last_price: int
    leaves_quantity: int
    cumulative_quantity: int
    average_price: str
    transaction_time: str
