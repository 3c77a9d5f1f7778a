"""What a dead letter holds, decoded where that is possible."""

from tradewind.bus.interface import Payload
from tradewind.model.identifiers import Venue
from tradewind.wire.encoding import UndecodableMessage, decode
from tradewind.wire.events import DeadLettered
from tradewind.wire.market_batches import MarketBatch


def put_aside(letter: DeadLettered) -> Payload | UndecodableMessage:
    """The message that was put aside, or why its bytes are none."""
    try:
        if letter.message_type == MarketBatch.__name__:
            return MarketBatch.from_bytes(Venue(letter.key), letter.payload)
        return decode(letter.message_type, letter.message_version, letter.payload)
    except UndecodableMessage as error:
        return error
    except ValueError as error:
        return UndecodableMessage(str(error))
