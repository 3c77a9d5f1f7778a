"""The WebSocket side: subscriptions, a book that can be rebuilt, the user stream, clients that misbehave."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tradewind.services.sim_venue.websocket_frames import combined_payload, data_of, stream_of, text_frame

ALL = "btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade"


async def _next(socket: aiohttp.ClientWebSocketResponse) -> Any:
    message = await socket.receive(timeout=10)
    assert message.type is aiohttp.WSMsgType.TEXT, message
    return json.loads(message.data)


async def test_a_book_from_snapshot_and_differences_equals_the_ticker(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=600)
    sides: dict[str, dict[str, str]] = {"b": {}, "a": {}}
    tickers: dict[int, Any] = {}
    compared, last = 0, None
    async with venue.session.ws_connect(f"{venue.url}/stream?streams={ALL}") as socket:
        first = await _next(socket)
        while first["stream"] != "btcusdt@depth@100ms":
            first = await _next(socket)
        snapshot = (await venue.get("/api/v3/depth?symbol=BTCUSDT&limit=5000")).body
        sides["b"], sides["a"] = dict(snapshot["bids"]), dict(snapshot["asks"])
        while compared < 5:
            event = await _next(socket)
            data = event["data"]
            if event["stream"].endswith("@bookTicker"):
                tickers[data["u"]] = data
            elif event["stream"].endswith("@trade"):
                assert data["e"] == "trade"
            elif data["u"] > snapshot["lastUpdateId"]:
                expected = (last or snapshot["lastUpdateId"]) + 1
                assert data["U"] == expected if last else data["U"] <= expected <= data["u"]
                last = data["u"]
                for side in ("b", "a"):
                    for price, size in data[side]:
                        if float(size):
                            sides[side][price] = size
                        else:
                            sides[side].pop(price, None)
                if (ticker := tickers.get(last)) is not None:
                    bid, ask = max(sides["b"], key=float), min(sides["a"], key=float)
                    assert (ticker["b"], ticker["B"]) == (bid, sides["b"][bid])
                    assert (ticker["a"], ticker["A"]) == (ask, sides["a"][ask])
                    compared += 1


async def test_the_flow_can_be_stopped_and_orders_are_still_taken(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=1_000)
    async with venue.session.ws_connect(f"{venue.url}/ws/btcusdt@trade") as socket:
        assert (await _next(socket))["e"] == "trade"
    running = await venue.status()
    assert (running["state"], running["ended"], running["ended_ns"]) == ("playing", False, 0)
    await venue.call("POST", "/sim/v1/stop")
    while not (status := await venue.status())["ended"]:
        await asyncio.sleep(0.01)
    assert (status["state"], status["ended_ns"] > status["began_ns"] > 0) == ("ended", True)
    book = (await venue.get("/api/v3/depth?symbol=BTCUSDT")).body
    assert (await venue.order(type="MARKET", timeInForce=None, quantity="0.001")).body["status"] == "FILLED"
    assert (await venue.status())["flow_events"] == status["flow_events"]
    async with venue.session.ws_connect(f"{venue.url}/ws/btcusdt@depth@100ms") as socket:
        await venue.order(price="50000", quantity="0.001")
        assert ["50000.00000000", "0.00100000"] in (await _next(socket))["b"]
        await venue.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSDT")
        assert ["50000.00000000", "0.00000000"] in (await _next(socket))["b"]
    assert (await venue.get("/api/v3/depth?symbol=BTCUSDT")).body["lastUpdateId"] == book["lastUpdateId"] + 3


async def test_raw_streams_and_subscriptions(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=300)
    async with venue.session.ws_connect(f"{venue.url}/ws/btcusdt@trade") as socket:
        assert (await _next(socket))["e"] == "trade"
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        answer = await _next(socket)
        while "id" not in answer:
            answer = await _next(socket)
        assert answer == {"result": ["btcusdt@trade"], "id": 1}
    async with venue.session.ws_connect(f"{venue.url}/ws") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 2})
        assert await _next(socket) == {"result": None, "id": 2}
        assert (await _next(socket))["e"] == "depthUpdate"
        await socket.send_json({"method": "UNSUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 3})
        while (await _next(socket)) != {"result": None, "id": 3}:
            pass
        assert not venue.venue.hub.listens("btcusdt@depth@100ms")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", 3),
        ('{"method":"SHOUT","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":["bad name"],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":"btcusdt@trade","id":1}', 3),
        ("\u0000", 3),
    ],
)
async def test_bad_messages_are_answered(quiet: Any, message: str, code: int) -> None:
    async with quiet.session.ws_connect(f"{quiet.url}/ws") as socket:
        await socket.send_str(message)
        assert (await _next(socket))["error"]["code"] == code


async def test_too_many_streams_are_refused(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=0.001, max_streams_per_connection=2, max_connections=1)
    async with venue.session.ws_connect(f"{venue.url}/ws/a@trade") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["b@trade", "c@trade"], "id": 1})
        assert (await _next(socket))["error"]["code"] == 2
        async with venue.session.get(f"{venue.url}/ws") as response:
            assert response.status == 429
    async with venue.session.get(f"{venue.url}/stream?streams=a/b/c") as response:
        assert response.status == 400


async def test_a_client_that_floods_is_closed(quiet: Any) -> None:
    async with quiet.session.ws_connect(f"{quiet.url}/ws") as socket:
        for number in range(80):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        message = await socket.receive(timeout=5)
        while message.type is aiohttp.WSMsgType.TEXT:
            message = await socket.receive(timeout=5)
        assert socket.close_code == 1008


async def test_a_huge_message_closes_the_connection(quiet: Any) -> None:
    async with quiet.session.ws_connect(f"{quiet.url}/ws") as socket:
        await socket.send_str("x" * 200_000)
        await socket.receive(timeout=5)
        assert socket.close_code == 1009


async def test_the_server_pings(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=0.001, ping_every_s=0.1)
    async with venue.session.ws_connect(f"{venue.url}/ws", autoping=False) as socket:
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.PING


async def test_a_client_that_never_answers_pings_is_closed(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=0.001, ping_every_s=0.1)
    async with venue.session.ws_connect(f"{venue.url}/ws", autoping=False):
        while venue.venue.hub.clients:
            await asyncio.sleep(0.02)
    assert (await venue.status())["stream_clients"] == 0


async def test_a_slow_client_is_cut_and_the_others_go_on(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=20_000, max_buffered_bytes=65_536)
    reader, writer = await asyncio.open_connection("127.0.0.1", venue.venue.port, limit=1_024)
    writer.write(
        f"GET /stream?streams={ALL} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    async with venue.session.ws_connect(f"{venue.url}/stream?streams={ALL}", max_msg_size=0) as good:
        while not venue.venue.hub.slow_clients_cut:
            await _next(good)
        assert (await _next(good))["stream"].startswith("btcusdt@")
    assert (await venue.status())["slow_clients_cut"] == 1
    writer.close()


async def test_user_stream_tells_the_whole_story_of_an_order(quiet: Any) -> None:
    key = (await quiet.call("POST", "/api/v3/userDataStream", key="test-key")).body["listenKey"]
    async with quiet.session.ws_connect(f"{quiet.url}/ws/{key}") as socket:
        placed = (await quiet.order(price="50000", quantity="0.01", newClientOrderId="story")).body
        report = await _next(socket)
        assert (report["e"], report["x"], report["X"], report["c"]) == ("executionReport", "NEW", "NEW", "story")
        assert (report["i"], report["S"], report["o"], report["f"]) == (placed["orderId"], "BUY", "LIMIT", "GTC")
        assert (report["q"], report["p"], report["C"], report["w"]) == ("0.01000000", "50000.00000000", "", True)
        position = await _next(socket)
        assert position["e"] == "outboundAccountPosition"
        assert {"a": "USDT", "f": "999500.00000000", "l": "500.00000000"} in position["B"]
        await quiet.signed(
            "DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="story", newClientOrderId="end"
        )
        report = await _next(socket)
        assert (report["x"], report["X"], report["c"], report["C"]) == ("CANCELED", "CANCELED", "end", "story")
        await _next(socket)
        taken = (await quiet.order(type="MARKET", timeInForce=None, quantity="0.001", side="SELL")).body
        reports = [await _next(socket) for _ in range(len(taken["fills"]) + 2)]
        assert [report["e"] for report in reports[:-1]] == ["executionReport"] * (len(reports) - 1)
        assert [report["x"] for report in reports[:-1]] == ["NEW"] + ["TRADE"] * len(taken["fills"])
        last = reports[-2]
        assert (last["X"], last["z"], last["m"], last["N"]) == ("FILLED", "0.00100000", False, "USDT")
        assert (last["t"], last["L"]) == (taken["fills"][-1]["tradeId"], taken["fills"][-1]["price"])
        await quiet.call("DELETE", f"/api/v3/userDataStream?listenKey={key}", key="test-key")
        assert (await _next(socket))["e"] == "listenKeyExpired"
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE


async def test_user_stream_on_a_combined_connection(quiet: Any) -> None:
    key = (await quiet.call("POST", "/api/v3/userDataStream", key="test-key")).body["listenKey"]
    async with quiet.session.ws_connect(f"{quiet.url}/stream?streams={key}") as socket:
        await quiet.order(price="50000", quantity="0.01")
        event = await _next(socket)
        assert (event["stream"], event["data"]["e"]) == (key, "executionReport")


async def test_a_listen_key_that_nobody_prolongs_ends(start_venue: Any) -> None:
    venue = await start_venue(events_per_s=0.001, listen_key_lifetime_s=0.2)
    key = (await venue.call("POST", "/api/v3/userDataStream", key="test-key")).body["listenKey"]
    async with venue.session.ws_connect(f"{venue.url}/ws/{key}") as socket:
        assert (await _next(socket))["e"] == "listenKeyExpired"


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 2_047, 2_048, 65_535, 65_536, 100_000])
async def test_frames_of_every_size_arrive_whole(quiet: Any, size: int) -> None:
    async with quiet.session.ws_connect(f"{quiet.url}/ws/any@stream", max_msg_size=0) as socket:
        await asyncio.wait_for(quiet.venue.hub.somebody_listens("any@stream"), 5)
        quiet.venue.hub.publish("any@stream", b"x" * size)
        assert (await socket.receive(timeout=5)).data == "x" * size


def test_combined_frames_are_taken_apart_without_parsing() -> None:
    frame = combined_payload(b"btcusdt@trade", b'{"e":"trade"}')
    assert stream_of(frame) == b"btcusdt@trade"
    assert data_of(frame, "btcusdt@trade") == b'{"e":"trade"}'
    assert text_frame(b"ab") == b"\x81\x02ab"
    for bad in (b"", b"{}", b'{"stream":"x"}', b'{"stream":"x","other":{}}'):
        with pytest.raises(ValueError, match="not"):
            stream_of(bad)
