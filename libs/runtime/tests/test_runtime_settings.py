"""Settings from environment variables: every error names its variable, secrets come from files and are never shown."""

import enum
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.settings import PlatformSettings, SettingsError, load_settings, service_prefix


class Mode(enum.StrEnum):
    FAST = "fast"
    SAFE = "safe"


class Everything(msgspec.Struct, frozen=True, kw_only=True):
    count: int = 1
    ratio: float = 0.5
    price: Decimal = Decimal("1.5")
    on: bool = False
    folder: Path = Path("here")
    mode: Mode = Mode.SAFE
    speed: Literal["1", "max"] = "1"
    limit: int | None = None
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    api_secret: int = 0


class Required(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    low: int = 1
    high: int = 2

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("LOW must not be above HIGH")


def test_without_variables_the_defaults_hold() -> None:
    assert load_settings(Everything, environ={}) == Everything()


def test_values_are_read_into_the_fields_types() -> None:
    environ = {
        "TRADEWIND_COUNT": "7",
        "TRADEWIND_RATIO": "0.25",
        "TRADEWIND_PRICE": "0.10",
        "TRADEWIND_ON": "true",
        "TRADEWIND_FOLDER": "/data",
        "TRADEWIND_MODE": "fast",
        "TRADEWIND_SPEED": "max",
        "TRADEWIND_LIMIT": "3",
        "TRADEWIND_PORT": "8080",
    }
    assert load_settings(Everything, environ=environ) == Everything(
        count=7,
        ratio=0.25,
        price=Decimal("0.10"),
        on=True,
        folder=Path("/data"),
        mode=Mode.FAST,
        speed="max",
        limit=3,
        port=8080,
    )


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("COUNT", "many", "a whole number"),
        ("RATIO", "half", "a number"),
        ("PRICE", "cheap", "a decimal number"),
        ("ON", "maybe", "true or false"),
        ("MODE", "slow", "one of fast, safe"),
        ("SPEED", "2", "one of 1, max"),
        ("LIMIT", "none at all", "a whole number or null"),
        ("PORT", "65536", "a whole number"),
    ],
)
def test_a_wrong_value_is_one_line_with_the_variable_the_value_and_what_it_takes(
    name: str, value: str, takes: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(Everything, environ={f"TRADEWIND_{name}": value})
    message = str(caught.value)
    assert message.startswith(f"TRADEWIND_{name}={value!r}: it takes {takes}")
    assert "\n" not in message


def test_a_wrong_secret_is_not_repeated() -> None:
    with pytest.raises(SettingsError, match="TRADEWIND_API_SECRET=<hidden>") as caught:
        load_settings(Everything, environ={"TRADEWIND_API_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_required_variable_that_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match="TRADEWIND_SYMBOL is not set"):
        load_settings(Required, environ={})


def test_a_rule_over_several_fields_is_an_error_of_the_settings() -> None:
    with pytest.raises(SettingsError, match=r"TRADEWIND_RISK_\*: LOW must not be above HIGH"):
        load_settings(Checked, prefix="TRADEWIND_RISK_", environ={"TRADEWIND_RISK_LOW": "9"})


def test_a_value_from_a_file_wins_and_loses_its_line_end(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from the file\n")
    environ = {"TRADEWIND_VENUE_API_SECRET": "other", "TRADEWIND_VENUE_API_SECRET_FILE": str(secret)}
    assert load_settings(PlatformSettings, environ=environ).venue_api_secret == "from the file"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"TRADEWIND_VENUE_API_KEY_FILE=.*absent.*No such file"):
        load_settings(PlatformSettings, environ={"TRADEWIND_VENUE_API_KEY_FILE": str(tmp_path / "absent")})


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"TRADEWIND_VENUE_API_KEY_FILE=.*no UTF-8 text"):
        load_settings(PlatformSettings, environ={"TRADEWIND_VENUE_API_KEY_FILE": str(tmp_path / "key")})


def test_a_service_has_a_prefix_of_its_own() -> None:
    assert service_prefix("strategy-ema-cross") == "TRADEWIND_STRATEGY_EMA_CROSS_"
    environ = {"TRADEWIND_RISK_COUNT": "5", "TRADEWIND_COUNT": "6"}
    assert load_settings(Everything, prefix=service_prefix("risk"), environ=environ).count == 5


def test_home_is_written_out_in_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/quant")
    assert load_settings(PlatformSettings, environ={}).data_dir == Path("/home/quant/.local/share/tradewind")
    given = load_settings(PlatformSettings, environ={"TRADEWIND_DATA_DIR": "~/td"})
    assert given.data_dir == Path("/home/quant/td")


@pytest.mark.parametrize("name", ["LIVE", "LOG_LEVEL", "LOG_FORMAT", "HEALTH_PORT"])
def test_every_choice_of_the_platform_is_checked(name: str) -> None:
    with pytest.raises(SettingsError, match=f"TRADEWIND_{name}='perhaps': it takes"):
        load_settings(PlatformSettings, environ={f"TRADEWIND_{name}": "perhaps"})


def test_a_settings_error_is_shown_as_a_refusal() -> None:
    assert issubclass(SettingsError, StartRefused)
