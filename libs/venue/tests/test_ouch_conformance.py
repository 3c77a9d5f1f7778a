"""Market data of the OUCH adapter against the conformance kit: ITCH with the instruments of a REST interface."""

import importlib.util
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from tradewind.venue.adapters import VenueSettings
from tradewind.venue.conformance import MARKET_DATA_CHECKS, MarketDataCheck, run_check


def _itch() -> Any:
    """The module of the ITCH venue, which lies beside this one and is no package."""
    spec = importlib.util.spec_from_file_location(
        "itch_conformance", Path(__file__).with_name("test_itch_conformance.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ITCH = _itch()
EXCHANGE_INFO = {
    "symbols": [
        {
            "symbol": "CHAR",
            "status": "TRADING",
            "baseAsset": "CHAR",
            "baseAssetPrecision": 8,
            "quoteAsset": "USD",
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.0001", "maxPrice": "100000", "tickSize": "0.0001"},
                {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
            ],
        }
    ]
}


class OuchVenue(ITCH.ItchVenue):  # type: ignore[misc]
    """The ITCH venue, and the one question that is asked over REST."""

    adapter = "ouch"

    async def start(self) -> None:
        await super().start()
        app = web.Application()
        app.router.add_get("/api/v3/exchangeInfo", self._info)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._rest_port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()
        await super().stop()

    def settings(self, symbols: str | None = None, stale_after_s: float = 15.0) -> VenueSettings:
        given = super().settings(symbols, stale_after_s)
        own = {"market_address": given.own["address"], "user": "me", "password": ITCH.PASSWORD}
        return msgspec.structs.replace(given, rest_url=f"http://127.0.0.1:{self._rest_port}", own=own)

    async def _info(self, _request: web.Request) -> web.Response:
        return web.json_response(EXCHANGE_INFO)


COUNTERPARTS = (OuchVenue,)


@pytest.mark.parametrize("check", MARKET_DATA_CHECKS, ids=lambda check: check.__name__)
async def test_market_data_conforms(check: MarketDataCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.venue.itch.market_data.LISTING_TIMEOUT_S", 0.5)
    await run_check(check, OuchVenue)
