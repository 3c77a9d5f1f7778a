"""Settings of the simulated venue. Each is ``TRADEWIND_SIM_VENUE_<FIELD>``."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulated exchange lists, plays and allows. See ``service.toml`` for each in words."""

    port: int = 8081
    mode: Literal["flow", "replay"] = "flow"
    capture: Path = Path()
    speed: float = 1.0
    duration_s: float = 0.0
    hold: bool = False  # a replay waits for POST /sim/v1/start
    step_ms: int = 100  # how much recorded time is one step of a replay in lockstep
    seed: int = 1
    faults: str = ""  # path of a fault script, or the name of one that comes along: rude, storm, blind
    fault_seed: int = 0  # in place of the script's; 0 keeps that
    symbols: str = "BTCUSDT"
    events_per_s: float = 400.0
    fix_port: int = 0  # 0: no FIX
    fix_client: str = "TRADEWIND"
    itch_port: int = 0  # 0: no ITCH
    ouch_port: int = 0  # 0: no OUCH
    soup_user: str = "DEMO"
    soup_password: str = ""  # empty: the first 10 characters of the secret
    api_key: str = ""
    api_secret: str = ""
    initial_balances: str = "BTC=10,USDT=1000000"
    maker_fee_rate: Decimal = Decimal("0.001")
    taker_fee_rate: Decimal = Decimal("0.001")
    request_weight_per_minute: int = 60_000
    orders_per_10_s: int = 5_000
    max_open_orders: int = 200
    max_body_bytes: int = 16_384
    max_connections: int = 300
    max_streams_per_connection: int = 1_024
    max_buffered_bytes: int = 4_194_304
    slow_client_s: float = 10.0
    ping_every_s: float = 20.0
    listen_key_lifetime_s: float = 3_600.0
    snapshot_wait_s: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what cannot work together. Raises ValueError in words."""
        if self.mode == "replay" and self.capture == Path():
            raise ValueError("mode replay needs a capture: set TRADEWIND_SIM_VENUE_CAPTURE")
        if self.speed < 0 or self.duration_s < 0:
            raise ValueError("speed and duration_s must not be negative; 0 means as fast as possible, and no limit")
        if self.fault_seed < 0:
            raise ValueError("fault_seed must not be negative; 0 keeps the script's own")
        if not 0 < self.step_ms <= 60_000:
            raise ValueError("step_ms must be from 1 to 60000")
        if not 0 < self.events_per_s <= 100_000:
            raise ValueError("events_per_s must be above 0 and at most 100000")
        for protocol in ("fix", "itch", "ouch"):
            if not 0 <= getattr(self, f"{protocol}_port") <= 65_535:
                raise ValueError(f"{protocol}_port must be from 0, which is no {protocol.upper()}, to 65535")
        if len(self.soup_user) > 6 or len(self.soup_password) > 10:
            raise ValueError("a login over SoupBinTCP has at most 6 characters of user and 10 of password")
        if self.itch_port and self.mode == "replay":
            raise ValueError("itch_port needs mode flow: a recorded book does not say which orders it is made of")
        for rate in (self.maker_fee_rate, self.taker_fee_rate):
            if not 0 <= rate < 1 or rate != rate.quantize(Decimal("1e-8")):
                raise ValueError("a fee rate is from 0 to below 1 with at most 8 decimals, such as 0.001")
