"""The core without I/O: cash is conserved, priority is fair, the flow is the same for the same seed."""

import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.runtime.refusals import StartRefused
from tradewind.services.sim_venue.accounts import Balances, parse_balances
from tradewind.services.sim_venue.amounts import ONE, AmountError, TooPrecise, amount_text, parse_amount
from tradewind.services.sim_venue.changes import Changes
from tradewind.services.sim_venue.exchange import Exchange, FeeRates, OrderRequest
from tradewind.services.sim_venue.flow import FlowGenerator, FlowOrder
from tradewind.services.sim_venue.flow_market import FlowMarket
from tradewind.services.sim_venue.listings import KNOWN, listings_of
from tradewind.services.sim_venue.orders import BUY, SELL, OrderState
from tradewind.services.sim_venue.refusals import Refused
from tradewind.services.sim_venue.settings import Settings

BTC = KNOWN["BTCUSDT"]


class Room:
    """An exchange with two accounts on one market, in memory."""

    def __init__(self, seed: int = 3, events_per_s: float = 500.0, cash: int = 500_000) -> None:
        self.journal: list[Changes] = []
        self.published: list[tuple[str, bytes]] = []
        self._clock = itertools.count(1_000)
        self.exchange = Exchange(
            {"BTCUSDT": BTC},
            Balances(),
            FeeRates(maker=ONE // 1000, taker=ONE // 500),
            self._append,
            lambda: next(self._clock),
            max_open_orders=50,
        )
        for account in ("main", "other"):
            self.exchange.deposit(account, {"BTC": 5 * ONE, "USDT": cash * ONE})
        self.market = FlowMarket(
            BTC,
            FlowGenerator(BTC, seed, events_per_s),
            lambda kind, event: self.published.append((kind, event)),
            self.exchange.on_fill,
            start_ms=0,
        )
        self.market.open()
        self.exchange.markets["BTCUSDT"] = self.market
        self._names = itertools.count()

    def _append(self, changes: Changes) -> int:
        self.journal.append(changes)
        return len(self.journal)

    def place(self, account: str, side: int, price: int, size: int, kind: str = "LIMIT", tif: str = "GTC") -> Any:
        name = f"n{next(self._names)}"
        request = OrderRequest("BTCUSDT", side, kind, tif, price * BTC.price_unit, size * BTC.step, name)
        return self.exchange.place(account, request)

    def inside(self) -> int:
        """A price between the best ones."""
        (bid, _), (ask, _) = self.market.best()
        assert ask - bid > 1
        return ask - 1

    def check_conservation(self) -> None:
        balances = self.exchange.balances
        assert (balances.total("BTC"), balances.total("USDT")) == (0, 0)
        locked = {"BTC": 0, "USDT": 0}
        for order in self.exchange.open_orders.values():
            locked["USDT" if order.side == BUY else "BTC"] += order.locked
            assert order.locked == (
                BTC.notional(order.price, order.remaining) if order.side == BUY else order.remaining
            )
        for asset, amount in locked.items():
            assert sum(balances.of(account, asset).locked for account in ("main", "other")) == amount

    def check_journal(self) -> None:
        """The journal alone rebuilds the balances, and the trades explain every one of them."""
        holdings = {key: value for step in self.journal for key, value in step.holdings.items()}
        assert holdings == {key: self.exchange.balances.holdings[key] for key in holdings}
        for account in ("main", "other"):
            base, cash = 5 * ONE, 500_000 * ONE
            for trade in (trade for step in self.journal for trade in step.trades if trade.account == account):
                sign = 1 if trade.side == BUY else -1
                base += sign * trade.size - (trade.fee if trade.fee_asset == "BTC" else 0)
                cash -= sign * trade.cash + (trade.fee if trade.fee_asset == "USDT" else 0)
            for asset, expected in (("BTC", base), ("USDT", cash)):
                held = self.exchange.balances.of(account, asset)
                assert held.free + held.locked == expected


_ACTION = st.tuples(
    st.sampled_from(["limit", "maker", "ioc", "fok", "market", "cancel", "flow"]),
    st.sampled_from(["main", "other"]),
    st.sampled_from([BUY, SELL]),
    st.integers(min_value=-400, max_value=400),
    st.integers(min_value=1, max_value=60_000),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_ACTION, max_size=40), st.integers(min_value=0, max_value=5))
def test_cash_is_conserved_whatever_happens(actions: list[tuple[str, str, int, int, int]], seed: int) -> None:
    room = Room(seed)
    kinds = {"limit": ("LIMIT", "GTC"), "maker": ("LIMIT_MAKER", "GTC"), "ioc": ("LIMIT", "IOC")}
    kinds |= {"fok": ("LIMIT", "FOK"), "market": ("MARKET", "GTC")}
    until_ns = 0
    codes: set[int] = set()
    for what, account, side, offset, size in actions:
        if what == "flow":
            until_ns += size * 10_000
            room.market.advance(until_ns, 1_000)
        elif what == "cancel":
            mine = room.exchange.orders_of(account)
            if mine:
                room.exchange.cancel(mine[size % len(mine)], "c")
        else:
            kind, tif = kinds[what]
            try:
                room.place(account, side, 0 if kind == "MARKET" else BTC.start_price + offset, size, kind, tif)
            except Refused as refusal:
                codes.add(refusal.code)
        room.check_conservation()
    room.check_journal()
    assert codes <= {-1013, -2010}


def test_the_earlier_order_at_a_price_fills_first() -> None:
    room = Room(events_per_s=0.001)
    price = room.inside()
    first = room.place("main", BUY, price, 100).order
    second = room.place("other", BUY, price, 100).order
    room.market._submit_flow(FlowOrder(-1_000_000, SELL, price, 150 * BTC.step))
    orders = room.exchange.open_orders
    assert first.order_id not in orders
    assert 0 < orders[second.order_id].executed < 100 * BTC.step


def test_two_accounts_trade_with_each_other_at_the_makers_price() -> None:
    room = Room(events_per_s=0.001)
    price = room.inside()
    room.place("main", BUY, price, 1_000)
    taken = room.place("other", SELL, price - 1, 1_000)
    assert [(trade.price, trade.maker) for trade in taken.trades] == [(price, False)]
    step = room.journal[-1]
    assert [(trade.account, trade.maker) for trade in step.trades] == [("main", True), ("other", False)]
    assert len({trade.trade_id for trade in step.trades}) == 2
    room.check_conservation()
    room.check_journal()


def test_an_account_never_trades_with_itself() -> None:
    room = Room(events_per_s=0.001)
    bid, ask = room.market.best()
    mine = room.place("main", BUY, room.inside(), 200).order
    taken = room.place("main", SELL, bid[0], 100, tif="IOC")
    assert [trade.price for trade in taken.trades] == [bid[0]]
    assert mine.order_id not in room.exchange.open_orders
    states = [(order.order_id, order.state) for order in room.journal[-1].orders]
    assert (mine.order_id, OrderState.EXPIRED_IN_MATCH) in states
    events = b"".join(message for _, message in room.journal[-1].messages)
    assert b'"x":"TRADE_PREVENTION","X":"EXPIRED_IN_MATCH"' in events
    assert ask == room.market.best()[1]
    room.check_conservation()


def test_fees_are_cut_down_to_the_smallest_amount() -> None:
    room = Room(events_per_s=0.001)
    taken = room.place("main", BUY, 0, 137, "MARKET")
    for trade in taken.trades:
        assert trade.fee == trade.size * 2 // 1000
        assert trade.fee_asset == "BTC"


def test_a_market_buy_needs_the_money_for_what_it_would_pay() -> None:
    room = Room(events_per_s=0.001, cash=1_000)
    with pytest.raises(Refused, match="insufficient balance"):
        room.place("main", BUY, 0, 2_000, "MARKET")
    assert room.place("main", BUY, 0, 1_500, "MARKET").order.state is OrderState.FILLED
    room.check_conservation()


def _sequence(seed: int, steps: list[int]) -> list[tuple[str, bytes]]:
    room = Room(seed)
    for until_ms in steps:
        while room.market.advance(until_ms * 1_000_000, 7):
            pass
    return room.published


def test_the_same_seed_makes_the_same_flow() -> None:
    smooth = _sequence(11, list(range(5, 3_001, 5)))
    assert smooth == _sequence(11, [700, 1_900, 3_000])
    assert smooth != _sequence(12, [3_000])
    kinds = {kind for kind, _ in smooth}
    assert kinds == {"trade", "bookTicker", "depth@100ms"}


@pytest.mark.parametrize("seed", range(4))
def test_the_flow_stays_plausible(seed: int) -> None:
    room = Room(seed, events_per_s=400)
    for second in range(1, 41):
        room.market.advance(second * 1_000_000_000, 100_000)
        (bid, bid_size), (ask, ask_size) = room.market.best()
        assert 0 < bid < ask
        assert bid_size > 0 < ask_size
        assert ask - bid < 50_00
        assert abs(bid - BTC.start_price) < BTC.start_price // 50
    per_second = room.market.events / 40
    assert 300 < per_second < 600
    trades = sum(1 for kind, _ in room.published if kind == "trade")
    assert trades / 40 > 10


def test_amounts_are_exact() -> None:
    assert amount_text(123) == "0.00000123"
    assert amount_text(-(10**8)) == "-1.00000000"
    assert parse_amount("60000.01") == 6_000_001_000_000
    assert parse_amount("1") == ONE
    for bad in ("", "-1", "+1", "1.", ".5", "1e5", " 1", "1_0", "0x1", "9" * 21):
        with pytest.raises(AmountError):
            parse_amount(bad)
    with pytest.raises(TooPrecise):
        parse_amount("0.000000001")


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_amount_texts_are_read_back(amount: int) -> None:
    assert parse_amount(amount_text(amount)) == amount
    assert Decimal(amount_text(amount)) * ONE == amount


def test_wrong_settings_are_refused_in_words() -> None:
    assert parse_balances("BTC=1.5, USDT=7") == {"BTC": 150_000_000, "USDT": 7 * ONE}
    for bad in ("BTC", "BTC=x", "BTC=-1", "BTC=0.000000001", "=1", "BTC=1e30"):
        with pytest.raises(StartRefused, match="INITIAL_BALANCES"):
            parse_balances(bad)
    with pytest.raises(StartRefused, match="lists BTCUSDT, ETHUSDT"):
        listings_of("DOGEUSDT")
    for wrong in ({"mode": "replay"}, {"speed": -1.0}, {"maker_fee_rate": Decimal(1)}, {"events_per_s": 0.0}):
        with pytest.raises(ValueError, match=r"\w"):
            Settings(**wrong)
