from tradewind_native.submission import SubmitResult

class MatchingEngine:
    """Resting orders of one instrument in price-time priority. Sides are 1 (BUY) and 2 (SELL).

    Prices and sizes are int64 mantissas; order ids and owners are the caller's int64 numbers.
    """

    def __init__(self) -> None: ...
    def submit(
        self,
        order_id: int,
        side: int,
        price: int,
        size: int,
        *,
        market: bool = False,
        time_in_force: int = 0,
        post_only: bool = False,
        owner: int = 0,
        prevent_self_trade: bool = False,
    ) -> SubmitResult:
        """Match an order and let its remainder rest where its time in force says so.

        A market order trades at any price and never rests; its ``price`` is not read. ``time_in_force`` is a
        MatchingTimeInForce. An order that would trade is judged in this order: post_only, then FOK without the size to
        fill it, then ``prevent_self_trade`` meeting an order of the same owner before it is filled (owner 0 is nobody):
        each ends it before anything trades.

        Raises:
            ValueError: an order with this id rests already, the size is not above 0, the side or time in force is
                unknown, or post_only is asked for an order that cannot rest.
            OverflowError: a number is no int64, or the whole size resting at the price would not be. Nothing traded.
        """

    def cancel(self, order_id: int) -> int:
        """Take an order out; answers the size that rested, 0 if it does not rest."""

    def reduce(self, order_id: int, new_size: int) -> int:
        """Make an order smaller without loss of priority; answers the size taken away, 0 if it does not rest.

        Raises:
            ValueError: the new size is above the resting one (cancel and submit anew), or not above 0 (cancel).
        """

    def remaining(self, order_id: int) -> int:
        """The resting size of an order; 0 if it does not rest."""

    def queue_ahead(self, order_id: int) -> int:
        """The size that trades before this order at its price.

        Raises:
            KeyError: the order does not rest.
        """

    def __len__(self) -> int:
        """The number of resting orders."""

    def best_bid(self) -> tuple[int, int] | None:
        """(price, size) of the best bid, or None."""

    def best_ask(self) -> tuple[int, int] | None:
        """(price, size) of the best ask, or None."""

    def levels(self, side: int, depth: int) -> list[tuple[int, int]]:
        """Up to ``depth`` levels (price, size) of a side, best first."""

    def size_at(self, side: int, price: int) -> int:
        """The resting size at a price; 0 where there is none."""
