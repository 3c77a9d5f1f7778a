"""Strategies: what they do and earn; stopped, given other settings, started; a version that somebody else saved."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect
from ui_acts import WHY, confirm, refused_because
from ui_checks import grave_findings, sideways_px
from ui_platform import Person, UiPlatform, until, visiting

NAME = "ema-cross"


def state_of(person: Person, name: str = NAME) -> str:
    rows = person.get("/strategies")["rows"]
    return next(str(one["state"]) for one in rows if one["strategy_id"] == name)


def run_of(person: Person) -> int:
    run: int = person.get(f"/strategies/{NAME}")["run"]
    return run


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_shows_state_profit_settings_and_log(platform: UiPlatform, browser: Browser, theme: str) -> None:
    with visiting(platform, browser, "tom", theme=theme) as visit:
        page = visit.open(f"/strategies/{NAME}")
        card = page.get_by_role("article", name=NAME)
        expect(card.locator(".badge")).to_have_text("Running")
        expect(card.get_by_text("USDT")).to_be_visible()
        expect(card.get_by_role("img", name=f"Profit and loss of {NAME} lately")).to_be_visible()
        expect(page.get_by_label("Orders per second")).to_have_value("20")
        assert grave_findings(page) == []
        visit.screenshot(f"strategies-{theme}")
        page.get_by_role("tab", name="Log").click()
        page.get_by_label("Level").select_option("debug")
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_role("button", name="Go on")).to_have_attribute("aria-pressed", "true")
        assert grave_findings(page) == []
        visit.screenshot(f"strategy-log-{theme}")


@pytest.mark.parametrize(("width", "height"), [(360, 740), (2560, 1440)])
def test_fits_a_telephone_and_a_wall(platform: UiPlatform, browser: Browser, width: int, height: int) -> None:
    with visiting(platform, browser, "vera", width=width, height=height) as visit:
        page = visit.open("/strategies")
        expect(page.get_by_role("article")).to_have_count(2)
        assert sideways_px(page) == 0
        visit.screenshot(f"strategies-dark-{width}")
        visit.open(f"/strategies/{NAME}")
        expect(page.get_by_label("Orders per second")).to_be_visible()
        assert sideways_px(page) == 0
        visit.screenshot(f"strategy-dark-{width}")


def test_stopped_given_other_settings_and_started(own_platform: UiPlatform, browser: Browser) -> None:
    tom = own_platform.person("tom")
    before = run_of(tom)
    with visiting(own_platform, browser, "tom") as visit:
        page = visit.open(f"/strategies/{NAME}")
        card = page.get_by_role("article", name=NAME)
        card.get_by_role("button", name=f"Stop {NAME}").click()
        expect(page.get_by_role("dialog")).to_contain_text("What becomes of what it has?")
        assert grave_findings(page) == []
        visit.screenshot("strategy-stop-dark")
        expect(confirm(page, f"Stop {NAME}", "Stop it")).to_be_hidden()
        expect(card.locator(".badge")).to_have_text("Stopped")
        assert state_of(tom) == "STOPPED"
        change(page, "Retry pause", "x", "It takes a number such as 0.25.")
        page.get_by_label("Retry pause").fill("2.5")
        expect(page.get_by_text("changed, was 1", exact=True)).to_be_visible()
        visit.screenshot("strategy-settings-changed-dark")
        page.get_by_role("button", name="Save").click()
        expect(confirm(page, f"Settings of {NAME}", "Save")).to_be_hidden()
        expect(page.get_by_text(re.compile(r"Nothing changed; version \d+"))).to_be_visible()
        card.get_by_role("button", name=f"Start {NAME}").click()
        expect(confirm(page, f"Start {NAME}", "Start it")).to_be_hidden()
        expect(card.locator(".badge")).to_have_text("Running")
        until(lambda: run_of(tom) > before, 30)
        expect(card.get_by_text(f"run {run_of(tom)}")).to_be_visible()
    told = tom.get(f"/strategies/{NAME}")
    assert told["settings_in_force"]["retry_s"] == 2.5
    lines = own_platform.person("rita").get("/audit", action="strategy", actor="tom")["rows"]
    assert {line["why"] for line in lines} == {WHY}
    assert len(lines) == 3


def change(page: Page, label: str, text: str, problem: str) -> None:
    page.get_by_label(label).fill(text)
    expect(page.get_by_text(problem)).to_be_visible()
    refused_because(page, page.get_by_role("button", name="Save"), "Not valid yet: Retry pause")


def test_a_version_that_somebody_else_saved_is_shown_not_overwritten(platform: UiPlatform, browser: Browser) -> None:
    tom, path = platform.person("tom"), "/strategies/market-maker"
    with visiting(platform, browser, "rita") as visit:
        page = visit.open(path)
        field = page.get_by_label("Checkpoint interval")
        field.fill("7")
        before = tom.get(path)
        theirs = before["settings"] | {"checkpoint_s": 6.0}
        tom.ask("PUT", f"{path}/settings", json={"values": theirs, "version": before["version"], "why": WHY})
        until(lambda: tom.get(path)["version"] > before["version"], 30)
        conflict = page.get_by_role("alert").filter(has_text="Somebody else has saved")
        expect(conflict).to_contain_text("Checkpoint interval: now 6, yours 7")
        refused_because(page, page.get_by_role("button", name="Save"), "Somebody else has saved")
        assert grave_findings(page) == []
        visit.screenshot("strategy-conflict-dark")
        conflict.get_by_role("button", name="Take version").click()
        expect(field).to_have_value("6")


def test_a_viewer_sees_why_nothing_can_be_done(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "vera") as visit:
        page = visit.open(f"/strategies/{NAME}")
        card = page.get_by_role("article", name=NAME)
        for name in (f"Stop {NAME}", f"Start {NAME}"):
            refused_because(page, card.get_by_role("button", name=name), "Your role, viewer, may not do this")
        expect(page.get_by_label("Orders per second")).to_be_disabled()
