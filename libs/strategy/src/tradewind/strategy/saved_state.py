"""The bytes of a checkpoint: what the strategy keeps, and what the platform knew of its orders at the same moment.

``MAGIC``, a digest of the rest, then msgpack. What cannot be read is refused as a whole, in one sentence, and the
policy decides: half a state is worse than none.
"""

import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tradewind.model.identifiers import AccountId, ClientOrderId, StrategyId
from tradewind.model.orders import Order
from tradewind.model.positions import Position

if TYPE_CHECKING:
    from tradewind.strategy.strategy import Strategy

MAGIC: Final = b"TWCP1"
MAX_STATE_BYTES: Final = 1_000_000
"""What a strategy may keep: it is written again after every order event."""
_DIGEST_BYTES: Final = 16
_BODY: Final = len(MAGIC) + _DIGEST_BYTES


EventPlace = tuple[ClientOrderId, int]
"""An order event: whose, and its ``sequence``."""


class CheckpointUnreadable(Exception):
    """A checkpoint that this code cannot go on from; the message says why, and what to do."""


class StateTooLarge(Exception):
    """The strategy keeps more than MAX_STATE_BYTES."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """``intents`` is the number of the last intent of ``run``; every intent up to it was published.

    ``time_ns`` is the clock of the data. ``positions`` and open ``orders`` are as the strategy saw them.
    ``state`` is the strategy's own struct, ``schema`` names the fields that it had.
    """

    account_id: AccountId
    strategy_id: StrategyId
    state_version: int
    schema: str
    run: int
    intents: int
    time_ns: int
    positions: list[Position]
    orders: list[Order]
    state: msgspec.Raw


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Checkpoint)


def encode_state(state: msgspec.Struct) -> bytes:
    """The strategy's own part.

    Raises:
        StateTooLarge: more than MAX_STATE_BYTES.
        TypeError: a field holds something that has no encoding.
    """
    encoded = _encoder.encode(state)
    if len(encoded) > MAX_STATE_BYTES:
        raise StateTooLarge(
            f"the state has {len(encoded)} bytes, at most {MAX_STATE_BYTES} are saved; keep less in State, "
            "or rebuild it from market data"
        )
    return encoded


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The whole as stored."""
    body = _encoder.encode(checkpoint)
    return MAGIC + _digest(body) + body


def decode_checkpoint(stored: bytes) -> Checkpoint:
    """Read it back.

    Raises:
        CheckpointUnreadable: it is not one, or not as it was written.
    """
    if not stored.startswith(MAGIC):
        raise CheckpointUnreadable(f"the checkpoint does not begin with {MAGIC.decode()}: another program wrote it")
    body = stored[_BODY:]
    if stored[len(MAGIC) : _BODY] != _digest(body):
        raise CheckpointUnreadable(f"the checkpoint of {len(stored)} bytes is damaged: its digest is another")
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise CheckpointUnreadable(f"the checkpoint has another form than this version writes: {error}") from error


def state_of(checkpoint: Checkpoint, strategy: "Strategy") -> msgspec.Struct:
    """The strategy's own state, of this version or brought up to it by ``on_old_state``.

    Raises:
        CheckpointUnreadable: there is no way from the saved fields to those of now.
    """
    wanted, version = strategy.State, strategy.state_version
    if wanted is None:
        raise CheckpointUnreadable("there is a checkpoint, but the strategy has no State any more")
    if (checkpoint.state_version, checkpoint.schema) == (version, schema_of(wanted)):
        try:
            return msgspec.msgpack.decode(checkpoint.state, type=wanted)
        except msgspec.DecodeError as error:
            raise CheckpointUnreadable(f"the saved state does not fit {wanted.__name__}: {error}") from error
    saved = f"the checkpoint has state version {checkpoint.state_version}, the strategy has {version}"
    if checkpoint.state_version == version:
        raise CheckpointUnreadable(
            f"{saved} with other fields; raise state_version when State changes, and convert in on_old_state"
        )
    if checkpoint.state_version > version:
        raise CheckpointUnreadable(f"{saved}: an older program cannot read it; start the newer one")
    return _converted(checkpoint, strategy, saved)


def schema_of(kind: type[msgspec.Struct]) -> str:
    """A name for the fields and types of a struct: another set of them has another name."""
    described = msgspec.json.encode(msgspec.json.schema(kind), order="deterministic")
    return hashlib.blake2b(described, digest_size=8).hexdigest()


def _converted(checkpoint: Checkpoint, strategy: "Strategy", saved: str) -> msgspec.Struct:
    fields: dict[str, Any] = msgspec.msgpack.decode(checkpoint.state)
    try:
        state = strategy.on_old_state(checkpoint.state_version, fields)
    except Exception as error:
        raise CheckpointUnreadable(f"{saved}, and on_old_state failed: {type(error).__name__}: {error}") from error
    wanted = strategy.State
    if wanted is None or not isinstance(state, wanted):
        raise CheckpointUnreadable(f"{saved}, and on_old_state does not convert it")
    return state


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()
