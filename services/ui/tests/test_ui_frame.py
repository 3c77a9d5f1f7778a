"""The frame around every view: coming in and going out, themes, keys, and a stream that breaks."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect
from ui_checks import compressed_bytes, grave_findings, sideways_px
from ui_platform import PASSWORD, UiPlatform, until, visiting

from tradewind.services.ui import ASSETS

MOST_SCRIPT_BYTES = 400_000


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_login_wrong_then_right_then_out(platform: UiPlatform, browser: Browser, theme: str) -> None:
    with visiting(platform, browser, None, theme=theme) as visit:
        page = visit.open()
        expect(page.get_by_role("heading", name="Log in to Tradewind")).to_be_visible()
        assert grave_findings(page) == []
        visit.screenshot(f"login-{theme}")
        log_in(page, "vera", "not her password at all")
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_label("Password")).to_have_value("")
        log_in(page, "vera", PASSWORD)
        expect(page.get_by_role("navigation", name="Views")).to_be_visible()
        page.get_by_role("button", name=re.compile("vera, viewer")).click()
        page.get_by_role("menuitem", name="Log out").click()
        expect(page.get_by_role("heading", name="Log in to Tradewind")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="Log in to Tradewind")).to_be_visible()


def log_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_a_one_time_link_makes_a_person_and_works_once(platform: UiPlatform, browser: Browser) -> None:
    made = platform.person("ada").post("/users", {"name": "nora", "role": "viewer"})
    token = made["claim_url"].rpartition("/")[2]
    with visiting(platform, browser, None) as visit:
        page = visit.open(f"/claim/{token}")
        page.get_by_label("Password, at least 12 characters").fill(PASSWORD)
        page.get_by_label("The same again").fill("something else than that")
        page.get_by_role("button", name="Set it and log in").click()
        expect(page.get_by_role("alert")).to_contain_text("differ")
        assert grave_findings(page) == []
        visit.screenshot("claim-dark")
        page.get_by_label("The same again").fill(PASSWORD)
        page.get_by_role("button", name="Set it and log in").click()
        expect(page.get_by_role("button", name=re.compile("nora, viewer"))).to_be_visible()
        assert token not in page.url
    with visiting(platform, browser, None) as visit:
        page = visit.open(f"/claim/{token}")
        page.get_by_label("Password, at least 12 characters").fill(PASSWORD)
        page.get_by_label("The same again").fill(PASSWORD)
        page.get_by_role("button", name="Set it and log in").click()
        expect(page.get_by_role("alert")).to_be_visible()


def test_a_logout_elsewhere_ends_this_window_too(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "vera") as visit:
        page = visit.open()
        expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
        answer = visit.context.request.post(
            f"{platform.url}/api/v1/auth/logout", headers={"X-Tradewind-Request": "yes", "Origin": platform.url}
        )
        assert answer.ok
        expect(page.get_by_role("heading", name="Log in to Tradewind")).to_be_visible()
        expect(page.get_by_text("Your session has ended")).to_be_visible()


def test_an_access_that_ran_out_is_renewed_without_a_word(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "vera") as visit:
        page = visit.open("/market")
        expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
        visit.context.clear_cookies(name="tradewind_access")
        with page.expect_response(lambda answer: answer.url.endswith("/auth/refresh") and answer.ok):
            page.get_by_role("button", name="5m", exact=True).click()
        expect(page.locator(".legend")).to_contain_text("O ")
        page.reload()
        expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()


def test_theme_follows_the_system_until_one_is_chosen(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "vera", theme="dark") as visit:
        page = visit.open()
        expect(page.get_by_role("navigation", name="Views")).to_be_visible()
        dark = background(page)
        page.emulate_media(color_scheme="light")
        assert background(page) != dark
        page.get_by_role("button", name=re.compile("account and settings")).click()
        page.get_by_role("menuitemradio", name="Dark").click()
        assert background(page) == dark
        page.reload()
        expect(page.get_by_role("navigation", name="Views")).to_be_visible()
        assert background(page) == dark


def background(page: Page) -> str:
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


def test_keys_lead_from_view_to_view_and_are_listed(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "vera") as visit:
        page = visit.open()
        expect(page.get_by_role("heading", name="Market", level=1)).to_be_visible()
        page.keyboard.press("?")
        help_of_keys = page.get_by_role("dialog", name="Keys")
        expect(help_of_keys).to_contain_text("Go to Portfolio")
        assert grave_findings(page) == []
        visit.screenshot("keys-dark")
        page.keyboard.press("Escape")
        expect(help_of_keys).to_be_hidden()
        page.keyboard.press("g")
        page.keyboard.press("p")
        expect(page.get_by_role("heading", name="Portfolio", level=1)).to_be_visible()
        page.keyboard.press("g")
        page.keyboard.press("m")
        expect(page.get_by_role("heading", name="Market", level=1)).to_be_visible()
        page.keyboard.press("/")
        # What is typed into a field is text.
        page.get_by_role("combobox", name="Part of its name").press_sequentially("gp?")
        expect(page.get_by_role("heading", name="Market", level=1)).to_be_visible()


@pytest.mark.parametrize(("width", "height"), [(360, 740), (820, 1180), (2560, 1440)])
def test_fits_from_a_telephone_to_a_wall(platform: UiPlatform, browser: Browser, width: int, height: int) -> None:
    with visiting(platform, browser, "vera", width=width, height=height) as visit:
        page = visit.open()
        expect(page.locator(".level.bid").first).to_be_visible()
        assert sideways_px(page) == 0
        visit.screenshot(f"market-dark-{width}")
        if width == 360:
            page.get_by_role("button", name="More").click()
            page.get_by_role("menuitem", name="System").click()
            expect(page.get_by_role("heading", name="System", level=1)).to_be_attached()


def test_the_kill_switch_is_two_steps_away_and_not_for_everybody(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "rita") as visit:
        page = visit.open("/portfolio")
        page.get_by_role("button", name="Kill switch").click()
        dialog = page.get_by_role("dialog", name="Kill switch")
        go_on = dialog.get_by_role("button", name="Continue")
        expect(go_on).to_be_disabled()
        dialog.get_by_label("Why").fill("a test of the page")
        go_on.click()
        expect(dialog).to_contain_text("until another person than you releases it")
        assert grave_findings(page) == []
        visit.screenshot("kill-switch-dark")
        expect(dialog.get_by_role("button", name="Kill everything (firm)")).to_be_enabled()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
    with visiting(platform, browser, "tom") as visit:
        page = visit.open("/portfolio")
        page.get_by_role("button", name="Kill switch").click()
        expect(page.get_by_role("dialog", name="Kill switch")).to_contain_text("Your role may not engage it")


class Line:
    """What is between the page and the platform's stream."""

    def __init__(self, page: Page) -> None:
        self.is_open = True
        self.asked: list[str] = []
        self.drop_next = 0
        self._all: list[WebSocketRoute] = []
        page.route_web_socket(re.compile("/api/v1/stream"), self._connect)

    def _connect(self, route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        self._all.append(route)
        route.on_message(lambda message: self._up(server.send, message))
        server.on_message(lambda message: self._down(route.send, message))

    def _up(self, send: Callable[[Any], None], message: str | bytes) -> None:
        self.asked.append(str(message))
        send(message)

    def _down(self, send: Callable[[Any], None], message: str | bytes) -> None:
        if self.drop_next:
            self.drop_next -= 1
        elif self.is_open:
            send(message)

    def cut(self) -> None:
        for route in self._all:
            route.close(code=1012, reason="cut by a test")
        self._all.clear()


def test_a_connection_that_breaks_comes_back_by_itself(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "vera") as visit:
        line = Line(visit.page)
        page = visit.open()
        expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
        expect(page.locator(".level.bid").first).to_be_visible()
        said = len(line.asked)
        line.cut()
        page.wait_for_function("document.querySelector('.link.reconnecting') !== null")
        expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
        assert any('"view"' in one for one in line.asked[said:])
        wait_for_another_print(page)


def test_a_silent_stream_is_called_stale_until_it_speaks(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "vera") as visit:
        line = Line(visit.page)
        page = visit.open()
        expect(page.locator(".print").first).to_be_visible()
        line.is_open = False
        expect(page.get_by_role("status").filter(has_text="Stale")).to_be_visible()
        expect(page.get_by_text("What you see is")).to_be_visible()
        assert grave_findings(page) == []
        visit.screenshot("market-stale-dark")
        line.is_open = True
        expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
        expect(page.get_by_text("What you see is")).to_be_hidden()
        wait_for_another_print(page)


def test_a_lost_message_is_asked_for_again(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "vera") as visit:
        line = Line(visit.page)
        page = visit.open()
        expect(page.locator(".print").first).to_be_visible()

        def is_asked_again() -> bool:
            # One that is lost while a snapshot is on its way is not missed, so another one is lost.
            line.drop_next = 1
            page.wait_for_function("before => performance.now() > before + 300", arg=page.evaluate("performance.now()"))
            return '{"type":"resync"}' in line.asked

        until(is_asked_again, 30)
        line.drop_next = 0
        wait_for_another_print(page)


def wait_for_another_print(page: Page) -> None:
    """The market goes on: the tape shows another print than now."""
    now = page.locator(".tape-body").inner_text()
    page.wait_for_function("before => document.querySelector('.tape-body').innerText !== before", arg=now)


def test_the_page_is_small_enough(browser: Browser) -> None:
    assert compressed_bytes(ASSETS, "*.js") < MOST_SCRIPT_BYTES
