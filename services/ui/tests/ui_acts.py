"""What several tests of the page do: put orders in, look for things by REST, and make the venue lie."""

import re
from typing import Any

import requests
from playwright.sync_api import Locator, Page, expect
from ui_platform import Person, UiPlatform, until

BTC = "BTCUSDT.BINANCE"
WHY = "a test of the page"


def rest_order(platform: UiPlatform, person: Person, **more: Any) -> str:
    """An order by hand that rests far from the market; its id when the platform has taken it."""
    bid = until(lambda: next((one["bid"] for one in person.get("/prices") if one["instrument_id"] == BTC), None), 30)
    wanted = {
        "instrument_id": BTC,
        "side": "BUY",
        "order_type": "LIMIT",
        "size": "0.001",
        "price": f"{int(float(bid) * 0.7)}.00",
    }
    order_id: str = person.post("/orders", wanted | more)["client_order_id"]
    until(lambda: order_id in {one["client_order_id"] for one in person.get("/orders", status="open")["orders"]}, 30)
    return order_id


def order_of(person: Person, order_id: str) -> dict[str, Any]:
    """Where an order stands."""
    order: dict[str, Any] = person.get(f"/orders/{order_id}")["order"]
    return order


def lie(platform: UiPlatform, *rules: dict[str, Any]) -> None:
    """Make the simulated venue lie; no rules: make it honest again."""
    found = re.search(r"simulated venue at (http://127\.0\.0\.1:\d+)", platform.output)
    assert found, platform.output[-2_000:]
    address = f"{found[1]}/sim/v1/faults"
    answer = (
        requests.put(address, json={"seed": 1, "rules": list(rules)}, timeout=10)
        if rules
        else requests.delete(address, timeout=10)
    )
    assert answer.ok, answer.text


def confirm(page: Page, title: str, action: str, why: str | None = WHY) -> Locator:
    """Fill in the reason of the open dialog and confirm; the dialog, which must go."""
    dialog = page.get_by_role("dialog", name=title)
    if why is not None:
        dialog.get_by_label("Why").fill(why)
    dialog.get_by_role("button", name=action, exact=True).click()
    return dialog


def refused_because(page: Page, button: Locator, reason: str) -> None:
    """The button is there, says that it cannot be pressed, and why."""
    expect(button).to_be_visible()
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_have_attribute("title", re.compile(reason))
    # It keeps the focus, and a press tells the reason in place of doing it.
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".toasts")).to_contain_text(re.compile(reason))
    expect(page.get_by_role("dialog")).to_have_count(0)
