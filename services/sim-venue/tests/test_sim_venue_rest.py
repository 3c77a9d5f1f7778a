"""The REST side over real sockets: every answer, every error code, hostile requests."""

import asyncio
import time
from decimal import Decimal
from typing import Any

import pytest

KEY = "test-key"
ORDER = "/api/v3/order"


async def _best(venue: Any) -> tuple[Decimal, Decimal]:
    body = (await venue.get("/api/v3/ticker/bookTicker?symbol=BTCUSDT")).body
    return Decimal(body["bidPrice"]), Decimal(body["askPrice"])


async def test_public_endpoints(quiet: Any) -> None:
    assert (await quiet.get("/api/v3/ping")).body == {}
    assert abs((await quiet.get("/api/v3/time")).body["serverTime"] - time.time() * 1000) < 5_000
    info = (await quiet.get("/api/v3/exchangeInfo")).body
    filters = {each["filterType"]: each for each in info["symbols"][0]["filters"]}
    assert info["symbols"][0]["symbol"] == "BTCUSDT"
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"
    assert filters["NOTIONAL"]["minNotional"] == "5.00000000"
    assert (await quiet.get('/api/v3/exchangeInfo?symbols=["BTCUSDT"]')).body["symbols"] == info["symbols"]
    depth = (await quiet.get("/api/v3/depth?symbol=BTCUSDT&limit=5")).body
    assert len(depth["bids"]) == len(depth["asks"]) == 5
    assert Decimal(depth["bids"][0][0]) > Decimal(depth["bids"][1][0])
    assert Decimal(depth["asks"][0][0]) > Decimal(depth["bids"][0][0])
    assert (await quiet.get("/api/v3/ticker/24hr?symbol=BTCUSDT")).body["symbol"] == "BTCUSDT"
    assert isinstance((await quiet.get("/api/v3/ticker/24hr")).body, list)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v3/depth?symbol=NOPE", 400, -1121),
        ("/api/v3/depth", 400, -1102),
        ("/api/v3/depth?symbol=BTCUSDT&limit=x", 400, -1100),
        ("/api/v3/depth?symbol=BTCUSDT&limit=0", 400, -1130),
        ("/api/v3/depth?symbol=BTCUSDT&symbol=BTCUSDT", 400, -1101),
        ("/api/v3/depth?" + "&".join(f"a{n}=1" for n in range(80)), 400, -1101),
        ("/api/v3/exchangeInfo?symbols=[", 400, -1100),
        ("/api/v3/exchangeInfo?symbols=[]", 400, -1102),
        ("/api/v3/nothing", 404, -5000),
    ],
)
async def test_refused_public_requests(quiet: Any, path: str, status: int, code: int) -> None:
    assert (await quiet.get(path)).error == (status, code)


async def test_limit_order_from_new_to_canceled(quiet: Any) -> None:
    placed = await quiet.order(price="50000.01", quantity="0.002", newClientOrderId="a-1")
    assert placed.status == 200
    assert (placed.body["status"], placed.body["fills"]) == ("NEW", [])
    order_id = placed.body["orderId"]
    seen = (await quiet.signed("GET", ORDER, symbol="BTCUSDT", origClientOrderId="a-1")).body
    assert (seen["orderId"], seen["price"], seen["origQty"]) == (order_id, "50000.01000000", "0.00200000")
    assert [each["orderId"] for each in (await quiet.signed("GET", "/api/v3/openOrders")).body] == [order_id]
    locked = {each["asset"]: each for each in (await quiet.signed("GET", "/api/v3/account")).body["balances"]}
    assert locked["USDT"]["locked"] == "100.00002000"
    gone = (await quiet.signed("DELETE", ORDER, symbol="BTCUSDT", orderId=order_id, newClientOrderId="x")).body
    assert (gone["status"], gone["origClientOrderId"], gone["clientOrderId"]) == ("CANCELED", "a-1", "x")
    assert (await quiet.signed("GET", ORDER, symbol="BTCUSDT", orderId=order_id)).body["status"] == "CANCELED"
    after = {each["asset"]: each for each in (await quiet.signed("GET", "/api/v3/account")).body["balances"]}
    assert (after["USDT"]["free"], after["USDT"]["locked"]) == ("1000000.00000000", "0.00000000")


async def test_market_order_pays_the_book_and_the_fee_in_what_it_gets(quiet: Any) -> None:
    depth = (await quiet.get("/api/v3/depth?symbol=BTCUSDT&limit=1")).body
    price, size = depth["asks"][0]
    size = min(Decimal(size), Decimal("0.001"))
    answer = (await quiet.order(type="MARKET", timeInForce=None, quantity=str(size))).body
    assert (answer["status"], answer["executedQty"]) == ("FILLED", f"{size:.8f}")
    assert answer["fills"][0]["price"] == price
    assert answer["fills"][0]["commissionAsset"] == "BTC"
    fees = sum(Decimal(fill["commission"]) for fill in answer["fills"])
    assert fees <= size * Decimal("0.001")
    assert fees > size * Decimal("0.00099")
    cash = sum(Decimal(fill["price"]) * Decimal(fill["qty"]) for fill in answer["fills"])
    assert Decimal(answer["cummulativeQuoteQty"]) == cash
    held = {each["asset"]: each for each in (await quiet.signed("GET", "/api/v3/account")).body["balances"]}
    assert Decimal(held["BTC"]["free"]) == 10 + size - fees
    assert Decimal(held["USDT"]["free"]) == 1_000_000 - cash
    trades = (await quiet.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT")).body
    assert [trade["id"] for trade in trades] == [fill["tradeId"] for fill in answer["fills"]]
    assert all(trade["isBuyer"] and not trade["isMaker"] for trade in trades)
    by_order = (await quiet.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT", orderId=answer["orderId"])).body
    assert by_order == trades
    later = await quiet.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT", fromId=trades[-1]["id"] + 1)
    assert later.body == []


@pytest.mark.parametrize(
    ("kind", "absent", "present"),
    [
        ("ACK", ("status", "fills"), ("orderId",)),
        ("RESULT", ("fills",), ("status",)),
        ("FULL", (), ("status", "fills")),
    ],
)
async def test_response_types(quiet: Any, kind: str, absent: tuple[str, ...], present: tuple[str, ...]) -> None:
    body = (await quiet.order(price="50000", quantity="0.001", newOrderRespType=kind)).body
    assert not set(absent) & set(body)
    assert set(present) <= set(body)


async def test_ioc_and_fok_never_rest(quiet: Any) -> None:
    _, ask = await _best(quiet)
    ioc = (await quiet.order(price=str(ask), quantity="20", timeInForce="IOC", side="SELL")).body
    assert ioc["code"] == -2010
    ioc = (await quiet.order(price=str(ask), quantity="15", timeInForce="IOC")).body
    assert ioc["status"] == "EXPIRED"
    assert 0 < Decimal(ioc["executedQty"]) < 15
    _, ask = await _best(quiet)
    fok = (await quiet.order(price=str(ask), quantity="15", timeInForce="FOK")).body
    assert (fok["status"], fok["executedQty"]) == ("EXPIRED", "0.00000000")
    assert (await quiet.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT")).body == []


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"price": "50000.001"}, -1013, "PRICE_FILTER"),
        ({"price": "0"}, -1013, "PRICE_FILTER"),
        ({"price": "99999999"}, -1013, "PRICE_FILTER"),
        ({"quantity": "0.000001"}, -1013, "LOT_SIZE"),
        ({"quantity": "0"}, -1013, "LOT_SIZE"),
        ({"quantity": "9999999999"}, -1013, "LOT_SIZE"),
        ({"quantity": "0.00001"}, -1013, "NOTIONAL"),
        ({"quantity": "8000"}, -1013, "NOTIONAL"),
        ({"quantity": "100"}, -2010, "insufficient balance"),
        ({"side": "SELL", "quantity": "100"}, -2010, "insufficient balance"),
        ({"quantity": "-1"}, -1100, "quantity"),
        ({"quantity": "1e3"}, -1100, "quantity"),
        ({"quantity": "NaN"}, -1100, "quantity"),
        ({"quantity": "٣"}, -1100, "quantity"),
        ({"quantity": "0.0000000001"}, -1111, "too much precision"),
        ({"quantity": None}, -1102, "quantity"),
        ({"price": None}, -1102, "price"),
        ({"symbol": "NOPE"}, -1121, "Invalid symbol"),
        ({"side": "HOLD"}, -1117, "side"),
        ({"type": "STOP_LOSS"}, -1116, "orderType"),
        ({"timeInForce": "GTX"}, -1115, "timeInForce"),
        ({"timeInForce": None}, -1102, "timeInForce"),
        ({"type": "MARKET"}, -1106, "timeInForce"),
        ({"type": "MARKET", "timeInForce": None}, -1106, "price"),
        ({"stopPrice": "1"}, -1106, "stopPrice"),
        ({"newClientOrderId": "with space"}, -1100, "newClientOrderId"),
        ({"newClientOrderId": "x" * 37}, -1100, "newClientOrderId"),
        ({"newOrderRespType": "ALL"}, -1130, "newOrderRespType"),
        ({"selfTradePreventionMode": "NONE"}, -2010, "self-trade"),
        ({"type": "LIMIT_MAKER", "timeInForce": None, "price": "70000"}, -2010, "immediately match"),
        ({"timestamp": "soon"}, -1100, "timestamp"),
    ],
)
async def test_refused_orders(quiet: Any, changes: dict[str, Any], code: int, words: str) -> None:
    answer = await quiet.order(**{"price": "50000", "quantity": "0.01", **changes})
    assert answer.error == (400, code)
    assert words in answer.body["msg"]
    assert (await quiet.signed("GET", "/api/v3/allOrders", symbol="BTCUSDT")).body == []
    assert quiet.venue.exchange.balances.of("main", "USDT").locked == 0


async def test_duplicate_and_unknown_orders(quiet: Any) -> None:
    assert (await quiet.order(price="50000", quantity="0.01", newClientOrderId="twice")).status == 200
    again = await quiet.order(price="50000", quantity="0.01", newClientOrderId="twice")
    assert (again.error, again.body["msg"]) == ((400, -2010), "Duplicate order sent.")
    for unknown in ({"orderId": 999}, {"origClientOrderId": "never"}):
        assert (await quiet.signed("GET", ORDER, symbol="BTCUSDT", **unknown)).error == (400, -2013)
        assert (await quiet.signed("DELETE", ORDER, symbol="BTCUSDT", **unknown)).error == (400, -2011)
    assert (await quiet.signed("GET", ORDER, symbol="BTCUSDT")).error == (400, -1102)
    assert len((await quiet.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")).body) == 1
    assert (await quiet.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")).error == (400, -2011)
    # The id is free again once its order is closed, and a query by it answers the newest.
    second = (await quiet.order(price="50001", quantity="0.01", newClientOrderId="twice")).body
    seen = (await quiet.signed("GET", ORDER, symbol="BTCUSDT", origClientOrderId="twice")).body
    assert (seen["orderId"], seen["status"]) == (second["orderId"], "NEW")


async def test_number_of_open_orders_is_limited(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=0.001, max_open_orders=2)
    for _ in range(2):
        assert (await venue.order(price="50000", quantity="0.01")).status == 200
    refused = await venue.order(price="50000", quantity="0.01")
    assert (refused.error, refused.body["msg"]) == ((400, -1013), "Filter failure: MAX_NUM_ORDERS")
    assert (await venue.order(type="MARKET", timeInForce=None, quantity="0.001")).status == 200


async def test_all_orders_pages(quiet: Any) -> None:
    ids = [(await quiet.order(price="50000", quantity="0.01")).body["orderId"] for _ in range(5)]

    async def page(**parameters: Any) -> list[int]:
        body = (await quiet.signed("GET", "/api/v3/allOrders", symbol="BTCUSDT", **parameters)).body
        return [order["orderId"] for order in body]

    assert await page() == ids
    assert await page(limit=2) == ids[-2:]
    assert await page(limit=2, orderId=ids[1]) == ids[1:3]
    assert await page(startTime=0, limit=3) == ids[:3]
    assert await page(endTime=1000) == []
    too_long = await quiet.signed("GET", "/api/v3/allOrders", symbol="BTCUSDT", startTime=0, endTime=10**12)
    assert too_long.error == (400, -1127)


async def test_security(quiet: Any) -> None:
    now = int(time.time() * 1000)
    path = "/api/v3/account"
    assert (await quiet.get(f"{path}?timestamp={now}&signature=00")).error == (401, -2014)
    assert (await quiet.call("GET", f"{path}?timestamp={now}&signature=00", key="no such key")).error == (401, -2014)
    assert (await quiet.call("GET", f"{path}?timestamp={now}&signature=00", key="stranger")).error == (401, -2015)
    assert (await quiet.call("GET", f"{path}?timestamp={now}&signature=00", key=KEY)).error == (400, -1022)
    assert (await quiet.call("GET", f"{path}?timestamp={now}", key=KEY)).error == (400, -1102)
    assert (await quiet.call("GET", path, key=KEY)).error == (400, -1102)
    assert (await quiet.signed("GET", path, timestamp=now - 6_000)).error == (400, -1021)
    assert (await quiet.signed("GET", path, timestamp=now - 6_000, recvWindow=20_000)).status == 200
    assert (await quiet.signed("GET", path, timestamp=now + 5_000)).error == (400, -1021)
    assert (await quiet.signed("GET", path, recvWindow=70_000)).error == (400, -1131)
    assert (await quiet.signed("GET", path, omitZeroBalances="true")).status == 200


async def test_a_recorded_request_cannot_be_sent_again_later(quiet: Any) -> None:
    old = int(time.time() * 1000) - 120_000
    answer = await quiet.order(price="50000", quantity="0.01", timestamp=old)
    assert answer.error == (400, -1021)
    assert (await quiet.signed("GET", "/api/v3/openOrders")).body == []


async def test_parameters_may_come_in_query_and_body(quiet: Any) -> None:
    from hashlib import sha256
    from hmac import new

    query = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC"
    body = f"quantity=0.01&price=50000&timestamp={int(time.time() * 1000)}"
    signature = new(b"test-secret", (query + body).encode(), sha256).hexdigest()
    answer = await quiet.call("POST", f"{ORDER}?{query}", key=KEY, data=f"{body}&signature={signature}")
    assert answer.status == 200
    again = await quiet.call("POST", f"{ORDER}?{query}", key=KEY, data=f"{body}0&signature={signature}")
    assert again.error == (400, -1022)


async def test_hostile_bodies(quiet: Any) -> None:
    assert (await quiet.call("POST", ORDER, key=KEY, data="a=" + "x" * 100_000)).error == (413, -1101)
    async with quiet.session.post(quiet.url + ORDER, data=b"\xff\xfe=1", headers={"X-MBX-APIKEY": KEY}) as response:
        assert (response.status, (await response.json())["code"]) == (400, -1100)
    assert (await quiet.get("/api/v3/ping")).status == 200


async def test_weights_and_their_limit(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=0.001, request_weight_per_minute=60)
    first = await venue.get("/api/v3/depth?symbol=BTCUSDT&limit=1000")
    used = int(first.headers["X-MBX-USED-WEIGHT-1M"])
    assert used == 50
    refused = [answer for _ in range(12) if (answer := await venue.get("/api/v3/ping")).status != 200]
    assert refused[0].error == (429, -1003)
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60


async def test_new_orders_and_their_limit(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=0.001, orders_per_10_s=2)
    answers = [await venue.order(price="50000", quantity="0.01") for _ in range(6)]
    assert answers[0].headers["X-MBX-ORDER-COUNT-10S"] == "1"
    refused = [answer for answer in answers if answer.status != 200]
    assert refused[0].error == (429, -1015)
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 10


async def test_listen_keys(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=0.001)
    path = "/api/v3/userDataStream"
    key = (await venue.call("POST", path, key=KEY)).body["listenKey"]
    assert (await venue.call("POST", path, key=KEY)).body["listenKey"] == key
    assert (await venue.call("PUT", f"{path}?listenKey={key}", key=KEY)).body == {}
    assert (await venue.call("PUT", f"{path}?listenKey=nope", key=KEY)).error == (400, -1125)
    assert (await venue.call("POST", path)).error == (401, -2014)
    assert (await venue.call("DELETE", f"{path}?listenKey={key}", key=KEY)).body == {}
    assert (await venue.call("PUT", f"{path}?listenKey={key}", key=KEY)).error == (400, -1125)


async def test_test_orders_change_nothing(quiet: Any) -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    assert (await quiet.signed("POST", "/api/v3/order/test", **order)).body == {}
    assert (await quiet.signed("GET", "/api/v3/allOrders", symbol="BTCUSDT")).body == []


async def test_many_requests_at_once_get_different_orders(quiet: Any) -> None:
    answers = await asyncio.gather(*(quiet.order(price="50000", quantity="0.001") for _ in range(50)))
    assert len({answer.body["orderId"] for answer in answers}) == 50
    assert quiet.venue.exchange.balances.of("main", "USDT").locked == 50 * 50 * 10**8
