"""Which broker carries which plane, and that no password of an address is ever repeated."""

import pytest

from tradewind.runtime.broker_urls import BrokerUrl, plane_urls, with_topic_prefix
from tradewind.runtime.settings import PlatformSettings, load_settings, names_secret

KAFKA = "kafka://127.0.0.1:9092"
RABBIT = "amqp://user:hunter%202@127.0.0.1:5672/"


def test_without_settings_both_planes_are_the_memory_bus() -> None:
    market, orders = plane_urls(PlatformSettings())
    assert market == orders == BrokerUrl("TRADEWIND_BUS_URL", "memory://")
    assert market.is_memory


def test_one_setting_moves_both_planes() -> None:
    market, orders = plane_urls(load_settings(PlatformSettings, environ={"TRADEWIND_BUS_URL": KAFKA}))
    assert (market.url, orders.url) == (KAFKA, KAFKA)
    assert not market.is_memory


def test_a_plane_may_have_a_broker_of_its_own() -> None:
    environ = {"TRADEWIND_BUS_URL": KAFKA, "TRADEWIND_ORDERS_URL": RABBIT}
    market, orders = plane_urls(load_settings(PlatformSettings, environ=environ))
    assert market == BrokerUrl("TRADEWIND_BUS_URL", KAFKA)
    assert orders == BrokerUrl("TRADEWIND_ORDERS_URL", RABBIT)


@pytest.mark.parametrize("word", ["hunter%202", "hunter 2"])
def test_a_password_is_taken_out_of_what_a_client_says(word: str) -> None:
    said = BrokerUrl("TRADEWIND_BUS_URL", RABBIT).without_password(f"user:{word} was refused")
    assert said == "user:*** was refused"


def test_the_whole_address_is_named_by_its_variable() -> None:
    broker = BrokerUrl("TRADEWIND_BUS_URL", f"{KAFKA}?sasl_password=hunter2")
    assert broker.without_password(f"cannot reach {broker.url}") == "cannot reach <TRADEWIND_BUS_URL>"
    assert broker.without_password("hunter2 is wrong") == "*** is wrong"


def test_an_address_that_cannot_be_read_is_hidden_too() -> None:
    broken = BrokerUrl("TRADEWIND_BUS_URL", "kafka://user:pw@[::1")
    assert broken.without_password(f"no such address: {broken.url}") == "no such address: <TRADEWIND_BUS_URL>"


@pytest.mark.parametrize("name", ["TRADEWIND_BUS_URL", "TRADEWIND_ORDERS_URL", "market_data_url", "redis_url"])
def test_addresses_that_may_hold_a_password_are_secrets(name: str) -> None:
    assert names_secret(name)


def test_the_address_of_a_page_is_no_secret() -> None:
    assert not names_secret("url")


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        (KAFKA, f"{KAFKA}?prefix=run-1."),
        (f"{KAFKA}?tls=yes", f"{KAFKA}?tls=yes&prefix=run-1."),
        (f"{KAFKA}?prefix=mine.", f"{KAFKA}?prefix=mine."),
        ("memory://", "memory://"),
        (RABBIT, f"{RABBIT}?prefix=run-1."),
    ],
)
def test_a_topic_prefix_is_one_more_option_of_the_address(url: str, wanted: str) -> None:
    assert with_topic_prefix(url, "run-1.") == wanted
