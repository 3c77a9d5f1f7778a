"""Risk: limits, trading states, and a kill switch that one person engages and another one releases."""

import re

import pytest
from playwright.sync_api import Browser, expect
from ui_acts import WHY, confirm, refused_because
from ui_checks import grave_findings, sideways_px
from ui_platform import UiPlatform, until, visiting


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_shows_limits_with_their_use_and_states(platform: UiPlatform, browser: Browser, theme: str) -> None:
    with visiting(platform, browser, "rita", theme=theme) as visit:
        page = visit.open("/risk")
        limits = page.get_by_role("region", name="Limits")
        expect(limits.locator(".limit").first).to_contain_text("%")
        shares = [float(text.split()[-2]) for text in limits.locator(".limit-share").all_inner_texts()]
        assert shares == sorted(shares, reverse=True)
        expect(page.get_by_role("region", name="Trading states")).to_contain_text("Active")
        assert grave_findings(page) == []
        visit.screenshot(f"risk-{theme}")


@pytest.mark.parametrize(("width", "height"), [(360, 740), (2560, 1440)])
def test_fits_a_telephone_and_a_wall(platform: UiPlatform, browser: Browser, width: int, height: int) -> None:
    with visiting(platform, browser, "rita", width=width, height=height) as visit:
        page = visit.open("/risk")
        expect(page.get_by_role("region", name="Kill switch")).to_be_visible()
        assert sideways_px(page) == 0
        visit.screenshot(f"risk-dark-{width}")


def test_a_scope_is_halted_and_given_back(platform: UiPlatform, browser: Browser) -> None:
    rita = platform.person("rita")
    scope = "strategy:ema-cross"
    with visiting(platform, browser, "rita") as visit:
        page = visit.open("/risk")
        page.get_by_role("button", name="Change a scope").click()
        dialog = page.get_by_role("dialog", name="Change a trading state")
        dialog.get_by_label("Scope").select_option(scope)
        confirm(page, "Change a trading state", f"Halt {scope}")
        states = page.get_by_role("region", name="Trading states")
        line = states.get_by_role("listitem").filter(has_text="ema-cross")
        expect(line).to_contain_text("Halted")
        expect(line).to_contain_text(f"rita: {WHY}")
        line.get_by_role("button", name="Resume ema-cross").click()
        confirm(page, f"Resume {scope}", f"Resume {scope}")
        expect(line).to_contain_text("Active")
    assert {one["scope"]: one["state"] for one in rita.get("/trading-states")}[scope] == "ACTIVE"


def test_a_kill_switch_is_engaged_by_one_and_released_by_another(own_platform: UiPlatform, browser: Browser) -> None:
    with visiting(own_platform, browser, "rita") as visit:
        page = visit.open("/risk")
        page.get_by_role("region", name="Kill switch").get_by_role("button", name="Engage").click()
        dialog = page.get_by_role("dialog", name="Engage the kill switch")
        dialog.get_by_label("Close its positions too").check()
        dialog.get_by_label("Why").fill("fills look wrong")
        dialog.get_by_role("button", name="Continue").click()
        # The second step asks for the name of what is killed, and takes no other.
        dialog.get_by_label("Type firm to confirm").fill("fir")
        dialog.get_by_role("button", name="Kill firm").click()
        expect(dialog.get_by_role("alert")).to_contain_text("Type firm to confirm")
        dialog.get_by_label("Type firm to confirm").fill("firm")
        assert grave_findings(page) == []
        visit.screenshot("kill-engage-dark")
        dialog.get_by_role("button", name="Kill firm").click()
        engaged = page.get_by_role("article", name="Kill switch of firm")
        expect(engaged).to_contain_text("fills look wrong")
        expect(engaged).to_contain_text(re.compile("Proven by the venue"), timeout=90_000)
        expect(page.get_by_text("All trading is halted")).to_be_visible()
        # Who engaged it cannot release it.
        refused_because(page, engaged.get_by_role("button", name="Release firm"), "You engaged it.*second person")
        expect(engaged).to_contain_text("You engaged it: its release needs a second person")
        assert grave_findings(page) == []
        visit.screenshot("kill-flat-dark")
    with visiting(own_platform, browser, "ruben", theme="light") as visit:
        page = visit.open("/risk")
        engaged = page.get_by_role("article", name="Kill switch of firm")
        expect(engaged).to_contain_text("Engaged by rita")
        assert grave_findings(page) == []
        visit.screenshot("kill-flat-light")
        engaged.get_by_role("button", name="Release firm").click()
        expect(confirm(page, "Release firm", "Release firm", "cause found and fixed")).to_be_hidden()
        history = page.get_by_role("region", name="Kill switch").locator(".kill-history")
        expect(history).to_contain_text("by ruben: cause found and fixed")
        expect(engaged).to_have_count(0)
        history.get_by_role("button", name="Steps of number 1").click()
        steps = page.get_by_role("dialog", name="Kill switch of firm, number 1")
        expect(steps.get_by_role("listitem").nth(2)).to_be_visible()
        assert grave_findings(page) == []
        visit.screenshot("kill-steps-light")
    states = {one["scope"]: one["state"] for one in own_platform.person("vera").get("/trading-states")}
    assert states["firm"] == "ACTIVE"
    lines = until(lambda: own_platform.person("rita").get("/audit", action="kill")["rows"], 30)
    assert {line["actor"] for line in lines} >= {"rita", "ruben"}


def test_a_trader_sees_why_nothing_can_be_done(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "tom") as visit:
        page = visit.open("/risk")
        kill = page.get_by_role("region", name="Kill switch")
        refused_because(page, kill.get_by_role("button", name="Engage"), "Your role, trader, may not do this")
        refused_because(page, page.get_by_role("button", name="Halt firm"), "Your role, trader, may not do this")
