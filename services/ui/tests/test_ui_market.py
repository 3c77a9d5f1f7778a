"""The market: what it shows of real data, and a trade by the ticket."""

from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from ui_checks import grave_findings
from ui_platform import UiPlatform, until, visiting

BTC = "BTCUSDT.BINANCE"


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_shows_candles_depth_and_prints(platform: UiPlatform, browser: Browser, theme: str) -> None:
    with visiting(platform, browser, "tom", theme=theme) as visit:
        page = visit.open("/market")
        expect(page.locator(".level.bid").nth(5)).to_be_visible()
        expect(page.locator(".level.ask").nth(5)).to_be_visible()
        expect(page.locator(".print").nth(3)).to_be_visible()
        # The legend is of the last candle, so there is one.
        expect(page.locator(".legend")).to_contain_text("O ")
        expect(page.get_by_role("img", name="Candles of BTCUSDT")).to_be_visible()
        assert page.get_by_role("link", name="Charts by TradingView").is_visible()
        expect(page.locator(".destination.simulated")).to_contain_text("Simulated venue")
        assert grave_findings(page) == []
        visit.screenshot(f"market-{theme}")


def test_a_level_with_our_order_is_one_line_high_on_a_telephone_too(platform: UiPlatform, browser: Browser) -> None:
    tom = platform.person("tom")
    with visiting(platform, browser, "tom", width=390, height=844) as visit:
        page = visit.open("/market")
        best = page.locator(".ladder-bids .level").first
        expect(best).to_be_visible()
        price = Decimal(str(best.get_attribute("data-value"))) - Decimal("0.05")
        size = {"instrument_id": BTC, "side": "BUY", "order_type": "LIMIT", "size": "0.001"}
        tom.post("/orders", {**size, "price": str(price), "time_in_force": "GTC", "post_only": True})
        ours = page.locator(".level.has-ours").first
        expect(ours).to_be_attached()
        heights = page.evaluate("[...document.querySelectorAll('.level')].map((one) => one.offsetHeight)")
        assert set(heights) == {19}


def test_each_length_of_a_candle_is_remembered(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "vera") as visit:
        page = visit.open("/market")
        page.get_by_role("button", name="1s", exact=True).click()
        expect(page.get_by_role("img", name="Candles of BTCUSDT, 1s each")).to_be_visible()
        expect(page.locator(".legend")).to_contain_text("O ")
        page.reload()
        expect(page.get_by_role("img", name="Candles of BTCUSDT, 1s each")).to_be_visible()


def test_a_trade_by_the_ticket_rests_is_marked_and_is_cancelled(platform: UiPlatform, browser: Browser) -> None:
    tom = platform.person("tom")
    with visiting(platform, browser, "tom") as visit:
        page = visit.open("/market")
        expect(page.locator(".level.bid").nth(8)).to_be_visible()
        page.keyboard.press("b")
        page.get_by_label("Size in BTC").fill("0.001")
        price = far_below(platform)
        page.get_by_label("Price in USDT").fill(price)
        expect(page.locator(".cost")).to_contain_text(f"{Decimal(price) * Decimal('0.001'):,.2f}")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Confirm buy")).to_be_focused()
        assert grave_findings(page) == []
        visit.screenshot("ticket-review-dark")
        page.keyboard.press("Enter")
        expect(page.locator(".ticket-sent")).to_contain_text("Accepted")
        visit.screenshot("ticket-sent-dark")
        mine = until(lambda: [one for one in open_orders(tom) if one["price"] == price], 20)
        assert (mine[0]["side"], Decimal(mine[0]["size"])) == ("BUY", Decimal("0.001"))
        row = page.get_by_role("row").filter(has_text="Accepted").filter(has_text=f"{Decimal(price):,}")
        expect(row).to_be_visible()
        page.keyboard.press("Escape")
        page.locator("h1").click()
        page.keyboard.press("c")
        until(lambda: not [one for one in open_orders(tom) if one["price"] == price], 20)


def open_orders(who: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = who.get("/orders", status="open", strategy_id="manual")["orders"]
    return found


def far_below(platform: UiPlatform) -> str:
    """A price that nobody will sell at, within what the platform takes for one."""
    prices = platform.person("tom").get("/prices")
    best = next(one["bid"] for one in prices if one["instrument_id"] == BTC)
    return f"{Decimal(best) * Decimal('0.99'):.2f}"


def test_a_market_order_is_filled(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "tom") as visit:
        page = visit.open("/market")
        expect(page.locator(".level.ask").first).to_be_visible()
        page.keyboard.press("m")
        page.get_by_label("Size in BTC").fill("0.001")
        page.get_by_role("button", name="Review buy BTC").click()
        page.get_by_role("button", name="Confirm buy").click()
        expect(page.locator(".ticket-sent")).to_contain_text("Filled")
        page.get_by_role("tab", name="Fills").click()
        expect(page.get_by_role("row").filter(has_text="manual").first).to_be_visible()


def test_a_price_of_the_ladder_goes_into_the_ticket(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "tom") as visit:
        page = visit.open("/market")
        page.locator(".level.bid").nth(4).click()
        expect(page.get_by_label("Price in USDT")).not_to_have_value("")
        first = page.get_by_label("Price in USDT").input_value()
        page.get_by_label("Price in USDT").press("ArrowUp")
        stepped = page.get_by_label("Price in USDT").input_value()
        assert Decimal(stepped) - Decimal(first) == Decimal("0.01")
        page.get_by_label("Price in USDT").fill("")
        page.get_by_role("listbox", name="Depth").focus()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Price in USDT")).not_to_have_value("")


def test_what_cannot_be_an_order_is_said_before_it_is_sent(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "tom") as visit:
        page = visit.open("/market")
        expect(page.locator(".level.ask").first).to_be_visible()
        page.get_by_role("button", name="Review buy BTC").click()
        expect(page.get_by_text("At which price?")).to_be_visible()
        page.get_by_label("Price in USDT").fill("60000.001")
        expect(page.get_by_text("In steps of 0.01")).to_be_visible()
        page.get_by_label("Size in BTC").fill("0.000001")
        expect(page.get_by_text("In steps of 0.00001")).to_be_visible()
        assert grave_findings(page) == []


def test_what_the_platform_would_refuse_cannot_be_confirmed(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "tom") as visit:
        page = visit.open("/market")
        expect(page.locator(".level.ask").first).to_be_visible()
        page.get_by_label("Price in USDT").fill(far_below(platform))
        page.get_by_label("Size in BTC").fill("8999")
        page.get_by_role("button", name="Review buy BTC").click()
        expect(page.get_by_text("It would be refused")).to_be_visible()
        expect(page.get_by_role("button", name="Confirm buy")).to_be_disabled()
        visit.screenshot("ticket-refused-dark")


def test_who_may_not_trade_gets_no_ticket(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "vera") as visit:
        page = visit.open("/market")
        expect(page.get_by_text("You may look, not trade")).to_be_visible()
        expect(page.get_by_role("button", name="Review buy BTC")).to_be_hidden()


def test_an_instrument_is_found_by_the_keyboard(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "vera") as visit:
        page = visit.open("/portfolio")
        expect(page.get_by_role("heading", name="Portfolio", level=1)).to_be_visible()
        page.keyboard.press("g")
        page.keyboard.press("m")
        expect(page.locator(".level.bid").first).to_be_visible()
        page.keyboard.press("/")
        page.get_by_role("combobox", name="Part of its name").fill("btc binance")
        assert grave_findings(page) == []
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/#/market/{BTC}")
        visit.open("/market/NOSUCH.BINANCE")
        expect(page.get_by_text("NOSUCH.BINANCE is not traded here")).to_be_visible()


def test_the_page_redraws_little_while_the_market_moves(platform: UiPlatform, browser: Browser) -> None:
    """The ladder writes into the lines that it has: no line is made anew for a message."""
    with visiting(platform, browser, "vera") as visit:
        page = visit.open("/market")
        expect(page.locator(".level.bid").nth(5)).to_be_visible()
        count_of_new_lines(page)
        page.wait_for_function("() => window.written > 50")
        assert page.evaluate("window.made") < page.evaluate("window.written") / 10


def count_of_new_lines(page: Page) -> None:
    page.evaluate(
        """() => {
            window.made = 0;
            window.written = 0;
            new MutationObserver((changes) => {
                for (const change of changes) {
                    window.written += 1;
                    window.made += [...change.addedNodes].filter((one) => one.className === 'level').length;
                }
            }).observe(document.querySelector('.ladder-body'), { subtree: true, childList: true, characterData: true });
        }"""
    )
