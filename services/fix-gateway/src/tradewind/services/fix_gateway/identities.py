"""The platform's names of a client's orders: they follow from the client's own, so that one order has one name.

The order path takes a client order id once, and knows a repeated command by its event id. So whatever is told twice,
by the client, by a resend or after a crash between receiving and publishing, is one order.
"""

import base64
import hashlib
from typing import Final

from tradewind.model.identifiers import ClientOrderId

PREFIX: Final = "fix-"
_BYTES: Final = 15  # 120 bits in 24 characters


def order_id(session_id: str, cl_ord_id: str) -> ClientOrderId:
    """The order of this ClOrdID (11) of this session: 28 of the 36 characters that venues take."""
    return ClientOrderId(PREFIX + _digest("order", session_id, cl_ord_id))


def submit_event_id(client_order_id: ClientOrderId) -> str:
    """The one command that makes the order."""
    return f"{client_order_id}-new"


def cancel_event_id(session_id: str, cl_ord_id: str) -> str:
    """The command that a cancel request of this ClOrdID becomes."""
    return f"{PREFIX}{_digest('cancel', session_id, cl_ord_id)}-cancel"


def _digest(*words: str) -> str:
    # Lengths stand before the words: no two lists of words make one text.
    text = "".join(f"{len(word)}:{word}" for word in words)
    digest = hashlib.blake2b(text.encode(), digest_size=_BYTES).digest()
    return base64.b32encode(digest).decode().lower()
