"""What order records mean for who follows prices, in plain Python: the twin of ``tradewind_native.book_changes``."""

from typing import Any, TypeAlias

import numpy as np

from tradewind.venue.itch.order_books import SIDES, OrderBooks
from tradewind.wire.market_records import MARKET_RECORD, RecordArray, RecordFlag, RecordKind, RecordSide, read_only

ORDER_KINDS = (RecordKind.ORDER_ADD, RecordKind.ORDER_CANCEL, RecordKind.ORDER_EXECUTE)
Best: TypeAlias = tuple[tuple[int, int] | None, tuple[int, int] | None]


class BookChanges:
    """Meaning and errors: the stub of ``tradewind_native.book_changes``."""

    def __init__(self, books: OrderBooks) -> None:
        self.books = books
        self.levels = True
        self._best: dict[int, Best] = {}
        self._made: list[tuple[Any, ...]] = []
        self._begun: list[int] = []

    def follow(self, records: RecordArray) -> RecordArray:
        """Apply the records to the books; answers them and, behind each, what it makes."""
        for index in range(len(records)):
            self._follow(records[index : index + 1])
        made, self._made = np.array(self._made, dtype=MARKET_RECORD), []
        return read_only(made)

    def _follow(self, one: RecordArray) -> None:
        record = one[0]
        kind = int(record["kind"])
        if kind not in ORDER_KINDS:
            if kind == RecordKind.CLEAR:
                self._best.pop(int(record["instrument"]), None)
            self.books.apply(one)
            self._made.append(record.item())
            return
        reference = int(record["order_id"])
        old = self.books.order(reference)
        self.books.apply(one)
        self._made.append(record.item())
        if kind == RecordKind.ORDER_EXECUTE and not record["level"] and old is not None:
            aggressor = RecordSide.SELL if old[1] == RecordSide.BUY else RecordSide.BUY
            price = int(record["price"]) or old[2]
            self._make(record, old[0], RecordKind.TRADE, aggressor, price, int(record["size"]), last=True)
        if self.levels:
            now = self.books.order(reference) if kind == RecordKind.ORDER_ADD else None
            # An order that is added again leaves its level, whatever becomes of it.
            left: list[tuple[int, ...]] = [] if old is None or (now is not None and now[:3] == old[:3]) else [old]
            self._tell(record, [*left, now] if now is not None else left)

    def _tell(self, record: Any, orders: list[tuple[int, ...]]) -> None:
        ends = bool(record["flags"] & RecordFlag.LAST)
        last_of = {order[0]: index for index, order in enumerate(orders)}
        for index, order in enumerate(orders):
            self._tell_level(record, order, last=ends and last_of[order[0]] == index)
        if not ends:
            # The first half of a replacement: its best prices are told with the second.
            self._begun = [order[0] for order in orders[:1]]
            return
        instruments = [order[0] for order in orders]
        for instrument in dict.fromkeys(instruments + self._begun):
            self._tell_best(record, instrument)
        self._begun = []

    def _tell_level(self, record: Any, order: tuple[int, ...], *, last: bool) -> None:
        instrument, side, price, _ = order
        sizes = {
            each: size for each, size, _ in self.books.levels(instrument, side, self.books.depth(instrument, side))
        }
        self._make(record, instrument, RecordKind.LEVEL, side, price, sizes.get(price, 0), last=last)

    def _tell_best(self, record: Any, instrument: int) -> None:
        best: Best = (self.books.best(instrument, SIDES[0]), self.books.best(instrument, SIDES[1]))
        if best == self._best.get(instrument, (None, None)):
            return
        self._best[instrument] = best
        if best[0] is not None and best[1] is not None:
            self._make(record, instrument, RecordKind.TOP_OF_BOOK, SIDES[0], *best[0], last=False)
            self._make(record, instrument, RecordKind.TOP_OF_BOOK, SIDES[1], *best[1], last=True)

    def _make(self, record: Any, instrument: int, kind: int, side: int, price: int, size: int, *, last: bool) -> None:
        sequence, flags = int(record["sequence"]), RecordFlag.LAST if last else 0
        times = (int(record["ts_event"]), int(record["ts_recv"]))
        self._made.append((*times, price, size, sequence, sequence, instrument, kind, side, flags, 0, 0))
