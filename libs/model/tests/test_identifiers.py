"""The forms of identifiers."""

import pytest

from tradewind.model.identifiers import (
    IdentifierError,
    Venue,
    client_order_id,
    instrument_id,
    strategy_id,
    symbol_of,
    venue_of,
)

BINANCE_CLIENT_ORDER_ID_CHARACTERS = 36


@pytest.mark.parametrize("text", ["ab", "ema-cross", "a1", "x" * 24, "0-9"])
def test_a_strategy_id_is_a_folder_name(text: str) -> None:
    assert strategy_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "a", "-ab", "ab-", "Ema", "a b", "a_b", "x" * 25, "ab\n", "\u00e9ma", "a/b", "../x", "EXTERNAL"]
)
def test_another_form_is_refused_and_the_wanted_one_named(text: str) -> None:
    with pytest.raises(IdentifierError, match="use 2 to 24 characters of a-z, 0-9"):
        strategy_id(text)


def test_client_order_ids_name_strategy_run_and_number_and_fit_the_strictest_venue() -> None:
    assert client_order_id(strategy_id("ema-cross"), 3, 17) == "ema-cross-3-17"
    longest = client_order_id(strategy_id("x" * 24), 9_999, 99_999)
    assert len(longest) <= BINANCE_CLIENT_ORDER_ID_CHARACTERS


def test_client_order_ids_of_different_intents_differ() -> None:
    strategies = [strategy_id("ab"), strategy_id("ab-1"), strategy_id("ab-1-1")]
    # 'ab' run 1 ... and 'ab-1' run 1 ... share a prefix, so the count of parts has to keep them apart.
    ids = [client_order_id(s, run, number) for s in strategies for run in range(1, 12) for number in range(1, 12)]
    assert len(set(ids)) == len(ids)


def test_an_instrument_id_comes_apart_as_it_was_made() -> None:
    made = instrument_id("BTC.PERP", Venue("SIM"))
    assert made == "BTC.PERP.SIM"
    assert venue_of(made) == "SIM"
    assert symbol_of(made) == "BTC.PERP"
