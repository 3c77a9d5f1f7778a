"""What the OUCH client is made of, without a venue: names, the record of a session, translation, settings."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, Venue
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import NewOrder, VenueRejected, VenueUnavailable
from tradewind.venue.adapters import VenueSettings
from tradewind.venue.ouch import tokens
from tradewind.venue.ouch.connecting import ADAPTER
from tradewind.venue.ouch.messages import (
    MARKET_PRICE,
    Accepted,
    Canceled,
    Executed,
    OuchError,
    Outbound,
    Rejected,
    write_outbound,
)
from tradewind.venue.ouch.record import OuchRecord
from tradewind.venue.ouch.tokens import TokenNames, token_of
from tradewind.venue.ouch.translation import enter_order, in_shares

ACCOUNT = AccountId("SIM-main")
BTC = Instrument(
    instrument_id=InstrumentId("BTCUSDT.SIM"),
    venue=Venue("SIM"),
    symbol="BTCUSDT",
    base_currency="BTC",
    quote_currency="USDT",
    price_precision=2,
    size_precision=8,
    price_increment=1,
    size_increment=1_000,
    min_size=1_000,
    max_size=900_000_000_000,
    max_price=100_000_000,
    min_notional=Decimal(5),
)


def accepted(token: str = "T", shares: int = 100) -> Accepted:
    return Accepted(
        time_ns=1, token=token, side="B", shares=shares, stock="BTCUSDT", price=5, time_in_force=99_999, firm="",
        display="Y", order_reference=7, capacity="P", sweep="N", minimum_quantity=0, cross_type="N", order_state="L",
        bbo_weight=" ",
    )  # fmt: skip


def executed(shares: int, token: str = "T") -> Executed:
    return Executed(time_ns=2, token=token, shares=shares, price=5, liquidity="A", match_number=1)


def canceled(shares: int) -> Canceled:
    return Canceled(time_ns=3, token="T", shares=shares, reason="U")


def test_a_token_is_the_same_for_ever_and_another_for_each_order() -> None:
    name = ClientOrderId("market-maker-1-1")
    assert token_of(ACCOUNT, name) == token_of(ACCOUNT, name)
    assert token_of(AccountId("SIM-other"), name) != token_of(ACCOUNT, name)
    many = {token_of(ACCOUNT, ClientOrderId(f"market-maker-1-{number}")) for number in range(20_000)}
    assert len(many) == 20_000
    assert all(len(token) == 14 and token.isalnum() for token in many)


def test_names_outlive_the_process_even_if_the_last_line_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "ouch" / "tokens"
    first = TokenNames(ACCOUNT, path)
    first.open()
    kept, cut_off = (first.token(ClientOrderId(name)) for name in ("mm-1-1", "mm-1-22"))
    first.save(kept)
    first.save(kept)
    first.save(cut_off)
    first.close()
    assert path.read_text().count("\n") == 2
    path.write_bytes(path.read_bytes()[:-2])
    second = TokenNames(ACCOUNT, path)
    second.open()
    later = second.token(ClientOrderId("mm-1-3"))
    second.save(later)
    second.close()
    third = TokenNames(ACCOUNT, path)
    third.open()
    assert (third.name(kept), third.name(cut_off), third.name(later)) == ("mm-1-1", None, "mm-1-3")
    third.close()


def test_two_names_of_one_token_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "token_of", lambda account, name: "SAME")
    names = TokenNames(ACCOUNT, tmp_path / "tokens")
    names.token(ClientOrderId("a-1-1"))
    with pytest.raises(VenueRejected, match="a-1-2 and a-1-1 have the same OUCH token"):
        names.token(ClientOrderId("a-1-2"))


def test_a_name_that_cannot_be_kept_stops_the_order(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VenueUnavailable, match="cannot be kept"):
        TokenNames(ACCOUNT, tmp_path / "file" / "tokens").open()
    names = TokenNames(ACCOUNT, tmp_path / "tokens")
    with pytest.raises(VenueUnavailable, match="not connected"):
        names.save(names.token(ClientOrderId("a-1-1")))


def test_the_record_adds_up() -> None:
    record = OuchRecord()
    for message in (accepted(), executed(30), canceled(70)):
        record.take(write_outbound(message))
    order = record.orders["T"]
    assert (order.filled, order.canceled, order.leaves, order.is_open) == (30, 70, 0, False)
    assert record.by_reference(7) is order
    assert record.next_sequence == 4


@pytest.mark.parametrize(
    "told",
    [
        [executed(1)],
        [canceled(1)],
        [accepted(), accepted()],
        [accepted(), Rejected(time_ns=1, token="T", reason="O")],
        [accepted(), executed(101)],
        [accepted(), executed(60), canceled(41)],
    ],
    ids=["executed unknown", "canceled unknown", "accepted twice", "then rejected", "too much", "too much in all"],
)
def test_a_session_that_contradicts_itself_is_not_believed(told: list[Outbound]) -> None:
    record = OuchRecord()
    *before, last = told
    for message in before:
        record.take(write_outbound(message))
    with pytest.raises(OuchError):
        record.take(write_outbound(last))


@pytest.mark.parametrize("payload", [b"", b"A", b"?" * 20, b"E" + b"\xff" * 39, b"J" + b"\0" * 23])
def test_garbage_in_a_session_is_an_error(payload: bytes) -> None:
    with pytest.raises(OuchError):
        OuchRecord().take(payload)


def test_instruments_are_counted_in_shares() -> None:
    found = in_shares(BTC)
    assert (found.price_precision, found.size_precision) == (4, 5)
    assert (found.price_increment, found.size_increment, found.min_size) == (100, 1, 1)
    assert (found.max_size, found.max_price) == (999_999, 1_999_999_900)


@pytest.mark.parametrize("finer", [{"price_precision": 6}, {"size_increment": 1}, {"size_precision": 3}])
def test_an_instrument_that_is_finer_than_ouch_is_refused(finer: dict[str, Any]) -> None:
    import msgspec

    with pytest.raises(ValueError, match="cannot be traded over OUCH"):
        in_shares(msgspec.structs.replace(BTC, **finer))


def test_orders_in_the_words_of_the_protocol() -> None:
    def entered(**given: Any) -> tuple[int, int, int, str]:
        wanted: dict[str, Any] = {
            "client_order_id": ClientOrderId("a-1-1"), "instrument_id": BTC.instrument_id, "side": OrderSide.SELL,
            "order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "size": 10, "price": 5,
        }  # fmt: skip
        found = enter_order(NewOrder(**(wanted | given)), in_shares(BTC), "T")
        return found.price, found.time_in_force, found.minimum_quantity, found.display

    assert entered() == (5, 99_999, 0, "Y")
    assert entered(post_only=True) == (5, 99_999, 0, "P")
    assert entered(time_in_force=TimeInForce.IOC) == (5, 0, 0, "Y")
    assert entered(time_in_force=TimeInForce.FOK) == (5, 0, 10, "Y")
    assert entered(order_type=OrderType.MARKET, price=None) == (MARKET_PRICE, 99_999, 0, "Y")
    for given in ({"price": None}, {"size": 0}, {"post_only": True, "time_in_force": TimeInForce.IOC}):
        with pytest.raises(VenueRejected):
            entered(**given)


def settings(**own: str) -> VenueSettings:
    given = {"address": "127.0.0.1:1", "market_address": "127.0.0.1:2", "user": "me", "password": "pw", "folder": "x"}
    return VenueSettings(
        venue="SIM", account="main", symbols="BTCUSDT", rest_url="http://127.0.0.1:3", stream_url="", own=given | own
    )


@pytest.mark.parametrize(
    "own",
    [
        {"address": "nowhere"}, {"user": "too-long"}, {"password": "longer than ten"}, {"folder": ""},
        {"taker_fee_rate": "much"}, {"maker_fee_rate": "-1"}, {"portt": "1"},
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_and_named(own: dict[str, str]) -> None:
    assert ADAPTER.execution is not None
    with pytest.raises(ValueError, match=f"TRADEWIND_VENUE_OUCH_{next(iter(own)).upper()}|USER and") as caught:
        ADAPTER.execution(settings(**own))
    assert "longer than ten" not in str(caught.value)


def test_the_host_of_orders_is_said_so_that_a_real_one_needs_the_users_word() -> None:
    assert ADAPTER.order_hosts(settings(address="ouch.broker.example:26401").own) == ("ouch.broker.example",)
    assert ADAPTER.order_hosts({}) == ()
