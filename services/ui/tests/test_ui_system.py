"""System: services and their picture, leases, feeds, and alerts that somebody takes on."""

import json
import re
import time
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect
from ui_acts import WHY, confirm, refused_because
from ui_checks import grave_findings, sideways_px
from ui_platform import UiPlatform, visiting


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_shows_services_leases_feeds_and_buses(platform: UiPlatform, browser: Browser, theme: str) -> None:
    with visiting(platform, browser, "vera", theme=theme, height=1_300) as visit:
        page = visit.open("/system")
        services = page.get_by_role("grid", name="Services")
        expect(services.get_by_role("row").filter(has_text="execution")).to_contain_text("Ready")
        expect(page.get_by_role("img", name=re.compile(r"\d+ services, all are ready"))).to_be_visible()
        expect(page.get_by_role("grid", name="Leases").locator("tbody tr").first).to_be_visible()
        expect(page.get_by_role("grid", name="Feeds")).to_contain_text("BTCUSDT")
        expect(page.get_by_role("region", name="Last reconciliation")).to_be_visible()
        assert grave_findings(page) == []
        visit.screenshot(f"system-{theme}")


@pytest.mark.parametrize(("width", "height"), [(360, 740), (2560, 1440)])
def test_fits_a_telephone_and_a_wall(platform: UiPlatform, browser: Browser, width: int, height: int) -> None:
    with visiting(platform, browser, "vera", width=width, height=height) as visit:
        page = visit.open("/system")
        expect(page.get_by_role("grid", name="Services").locator("tbody tr").nth(4)).to_be_visible()
        assert sideways_px(page) == 0
        visit.screenshot(f"system-dark-{width}")


def open_alert() -> dict[str, Any]:
    now = str(time.time_ns())
    return {
        "alert_id": "7",
        "name": "OrderOutcomeUnknown",
        "severity": "critical",
        "summary": "An order of ema-cross has been in doubt for 42 s",
        "subject": "BINANCE-main",
        "page": "docs/operating/unknown-order.md",
        "state": "OPEN",
        "first_at": now,
        "last_at": now,
        "count": 1,
        "acknowledged_by": None,
        "resolved_at": None,
    }


def test_an_alert_says_what_to_do_and_is_taken_on(platform: UiPlatform, browser: Browser) -> None:
    alert = open_alert()
    given: list[dict[str, Any]] = []

    def acknowledge(route: Route) -> None:
        given.append(json.loads(route.request.post_data or "{}"))
        alert.update(state="ACKNOWLEDGED", acknowledged_by="rita", last_at=str(time.time_ns()))
        route.fulfill(status=200, content_type="application/json", body=json.dumps(alert))

    def rows(route: Route) -> None:
        body = json.dumps({"rows": [alert], "next_cursor": None})
        route.fulfill(status=200, content_type="application/json", body=body)

    with visiting(platform, browser, "tom") as visit:
        visit.page.route(re.compile(r"/api/v1/alerts\?"), rows)
        page = visit.open("/system")
        button = page.get_by_role("button", name="Take on OrderOutcomeUnknown")
        refused_because(page, button, "Your role, trader, may not do this")
    with visiting(platform, browser, "rita") as visit:
        visit.page.route(re.compile(r"/api/v1/alerts\?"), rows)
        visit.page.route(re.compile(r"/api/v1/alerts/7/acknowledge"), acknowledge)
        page = visit.open("/system")
        alerts = page.get_by_role("region", name="Alerts")
        expect(alerts).to_contain_text("has been in doubt for 42 s")
        alerts.get_by_role("button", name="What to do: unknown-order").click()
        dialog = page.get_by_role("dialog", name="What to do: unknown-order")
        expect(dialog).to_contain_text("do not send the order again")
        assert grave_findings(page) == []
        visit.screenshot("alert-page-dark")
        dialog.get_by_role("button", name="Close").last.click()
        alerts.get_by_role("button", name="Take on OrderOutcomeUnknown").click()
        confirm(page, "Take on an alert", "Take it on")
        expect(alerts).to_contain_text("taken on by rita")
        assert grave_findings(page) == []
        visit.screenshot("alert-taken-on-dark")
    assert given == [{"why": WHY}]
