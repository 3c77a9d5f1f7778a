"""The portfolio: what it shows is what REST says, in each way of putting it together."""

import re

import pytest
from playwright.sync_api import Browser, expect
from ui_checks import grave_findings, sideways_px
from ui_platform import UiPlatform, until, visiting


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_shows_results_equity_positions_and_books(platform: UiPlatform, browser: Browser, theme: str) -> None:
    vera = platform.person("vera")
    until(lambda: vera.get("/portfolio", by="strategy")["rows"], 60)
    until(lambda: vera.get("/portfolio/reconciliation")["rows"], 60)
    with visiting(platform, browser, "vera", theme=theme) as visit:
        page = visit.open("/portfolio")
        expect(page.locator(".figures")).to_contain_text("Net")
        by_strategy = page.get_by_role("grid", name="Profit and loss by strategy")
        expect(by_strategy).to_contain_text("market-maker")
        expect(page.get_by_role("img", name=re.compile("Equity of all strategies"))).to_be_visible()
        expect(page.get_by_role("grid", name="Positions")).to_contain_text("BTCUSDT.BINANCE")
        expect(page.get_by_role("grid", name="Books against account against venue")).to_contain_text("USDT")
        expect(page.get_by_role("grid", name="Balances")).to_contain_text("USDT")
        assert grave_findings(page) == []
        visit.screenshot(f"portfolio-{theme}")


def test_is_put_together_by_instrument_and_account(platform: UiPlatform, browser: Browser) -> None:
    vera = platform.person("vera")
    until(lambda: vera.get("/portfolio", by="instrument")["rows"], 60)
    with visiting(platform, browser, "vera") as visit:
        page = visit.open("/portfolio")
        for by in ("instrument", "account"):
            page.get_by_role("group", name="Put together by").get_by_role("button", name=by).click()
            keys = [row["key"] for row in vera.get("/portfolio", by=by)["rows"]]
            assert keys
            for key in keys:
                expect(page.get_by_role("grid", name=f"Profit and loss by {by}")).to_contain_text(key)


def test_equity_of_one_strategy_can_be_chosen(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "vera") as visit:
        page = visit.open("/portfolio")
        page.get_by_label("Whose equity").select_option("market-maker")
        expect(page.get_by_role("img", name=re.compile("Equity of market-maker"))).to_be_visible()


def test_fits_a_telephone(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "vera", width=360, height=740) as visit:
        page = visit.open("/portfolio")
        expect(page.locator(".figures")).to_contain_text("Net")
        assert sideways_px(page) == 0
        visit.screenshot("portfolio-dark-360")
