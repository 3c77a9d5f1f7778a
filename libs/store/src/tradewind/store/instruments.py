"""Instruments: their definitions, and the number by which market records name them."""

from collections.abc import Iterable

import msgspec

from tradewind.model.instruments import Instrument
from tradewind.store.database import Database
from tradewind.wire.market_records import instrument_number


class InstrumentNumberTaken(ValueError):
    """Two instruments have the same number, so their market data could not be told apart."""


class InstrumentRepository:
    """The table ``instruments``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, instruments: Iterable[Instrument]) -> None:
        """Store definitions; one that is there already is replaced. All are stored, or none is.

        Raises:
            InstrumentNumberTaken: another instrument has the number of one of these.
            DatabaseUnavailable: nothing was stored, or the answer was lost; the call may be repeated.
        """
        numbered = _numbered(instruments)
        async with self._database.transaction() as connection:
            # One registration at a time, so that the check and the insert see the same table.
            await connection.execute("LOCK TABLE instruments IN SHARE ROW EXCLUSIVE MODE")
            rows = await connection.fetch(
                "SELECT instrument_id, instrument_number FROM instruments WHERE instrument_number = ANY($1::bigint[])",
                list(numbered),
            )
            for row in rows:
                _check_same(row["instrument_number"], row["instrument_id"], numbered)
            await connection.executemany(
                "INSERT INTO instruments (instrument_id, instrument_number, definition) VALUES ($1, $2, $3::jsonb) "
                "ON CONFLICT (instrument_id) DO UPDATE SET definition = EXCLUDED.definition, updated_at = now() "
                "WHERE instruments.definition <> EXCLUDED.definition",
                [(item.instrument_id, number, msgspec.json.encode(item).decode()) for number, item in numbered.items()],
            )

    async def load_all(self) -> list[Instrument]:
        """All definitions, by instrument id.

        Raises:
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT definition FROM instruments ORDER BY instrument_id")
        return [msgspec.json.decode(row["definition"], type=Instrument) for row in rows]


def _numbered(instruments: Iterable[Instrument]) -> dict[int, Instrument]:
    numbered: dict[int, Instrument] = {}
    for instrument in instruments:
        number = instrument_number(instrument.instrument_id)
        if (other := numbered.get(number)) is not None:
            _check_same(number, other.instrument_id, {number: instrument})
        numbered[number] = instrument
    return numbered


def _check_same(number: int, stored_id: str, numbered: dict[int, Instrument]) -> None:
    wanted = numbered[number].instrument_id
    if wanted != stored_id:
        raise InstrumentNumberTaken(
            f"instrument {wanted} has the number {number} of {stored_id}; "
            "run one of the two in a deployment with another database"
        )
