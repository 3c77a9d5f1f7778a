"""Users: invited by a one-time link, given a role, disabled; api tokens; the audit with what changed."""

import re

import pytest
from playwright.sync_api import Browser, expect
from ui_acts import WHY, confirm
from ui_checks import grave_findings, sideways_px
from ui_platform import PASSWORD, UiPlatform, visiting


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_shows_people_and_the_audit(platform: UiPlatform, browser: Browser, theme: str) -> None:
    with visiting(platform, browser, "ada", theme=theme) as visit:
        page = visit.open("/users")
        people = page.get_by_role("region", name="People")
        expect(people.get_by_role("listitem").filter(has_text="rita")).to_contain_text("May log in")
        audit = page.get_by_role("region", name="Audit")
        expect(audit.get_by_role("listitem").first).to_be_visible()
        assert grave_findings(page) == []
        visit.screenshot(f"users-{theme}")


@pytest.mark.parametrize(("width", "height"), [(360, 740), (2560, 1440)])
def test_fits_a_telephone_and_a_wall(platform: UiPlatform, browser: Browser, width: int, height: int) -> None:
    with visiting(platform, browser, "ada", width=width, height=height) as visit:
        page = visit.open("/users")
        expect(page.get_by_role("region", name="People").get_by_role("listitem").nth(4)).to_be_visible()
        assert sideways_px(page) == 0
        visit.screenshot(f"users-dark-{width}")


def test_somebody_is_invited_comes_in_gets_a_role_and_is_disabled(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "ada") as admin:
        page = admin.open("/users")
        page.get_by_role("button", name="Invite").click()
        dialog = page.get_by_role("dialog", name="Invite somebody")
        dialog.get_by_label("Name").fill("Not A Name")
        expect(dialog.get_by_role("button", name="Make the link")).to_be_disabled()
        dialog.get_by_label("Name").fill("otto")
        dialog.get_by_label("Role").select_option("viewer")
        dialog.get_by_role("button", name="Make the link").click()
        shown = page.get_by_role("dialog", name="One-time link for otto")
        link = shown.get_by_label("Shown only now").input_value()
        assert "/#/claim/" in link
        assert grave_findings(page) == []
        admin.screenshot("user-invited-dark")
        shown.get_by_role("button", name="Done").click()
        expect(page.get_by_text(link)).to_have_count(0)
        otto = page.get_by_role("region", name="People").get_by_role("listitem").filter(has_text="otto")
        expect(otto).to_contain_text("Invited")
        with visiting(platform, browser, None) as guest:
            theirs = guest.open(f"/claim/{link.rpartition('/')[2]}")
            theirs.get_by_label("Password, at least 12 characters").fill(PASSWORD)
            theirs.get_by_label("The same again").fill(PASSWORD)
            theirs.get_by_role("button", name="Set it and log in").click()
            expect(theirs.get_by_role("button", name=re.compile("otto, viewer"))).to_be_visible()
            page.get_by_role("button", name="Role of otto").click()
            page.get_by_role("dialog", name="Role of otto").get_by_label("Role").select_option("trader")
            expect(confirm(page, "Role of otto", "Change role")).to_be_hidden()
            expect(otto).to_contain_text("trader")
            page.get_by_role("button", name="Disable otto").click()
            expect(confirm(page, "Disable otto", "Disable otto")).to_be_hidden()
            expect(otto).to_contain_text("Disabled")
            # It takes effect in a window that is open.
            expect(theirs.get_by_role("heading", name="Log in to Tradewind")).to_be_visible()
        audit = page.get_by_role("region", name="Audit")
        audit.get_by_label("To what").fill("otto")
        audit.get_by_label("What", exact=True).fill("user.")
        audit.get_by_role("button", name="Look again").click()
        expect(audit.get_by_role("listitem")).to_have_count(3)
        line = audit.get_by_role("listitem").first
        expect(line.locator("del")).to_have_text("trader")
        expect(line.locator("ins")).to_have_text("trader, disabled")
        expect(line).to_contain_text(WHY)
        assert grave_findings(page) == []
        admin.screenshot("audit-filtered-dark")


def test_a_token_is_shown_once_works_and_is_revoked(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "tom") as visit:
        page = visit.open("/users")
        page.get_by_role("button", name="New api token").click()
        dialog = page.get_by_role("dialog", name="New api token")
        dialog.get_by_label("What it is for").fill("night job")
        dialog.get_by_role("button", name="Make it").click()
        shown = page.get_by_role("dialog", name="Your new api token")
        secret = shown.get_by_label("Shown only now").input_value()
        shown.get_by_role("button", name="Done").click()
        bearer = {"Authorization": f"Bearer {secret}"}
        context = browser.new_context()
        assert context.request.get(f"{platform.url}/api/v1/health", headers=bearer).ok
        page.get_by_role("button", name="Revoke night job").click()
        confirm(page, "Revoke night job", "Revoke it", why=None)
        expect(page.get_by_text("Revoked", exact=True)).to_be_visible()
        assert context.request.get(f"{platform.url}/api/v1/health", headers=bearer).status == 401
        context.close()


def test_who_may_not_sees_themselves_and_why_not_the_others(platform: UiPlatform, browser: Browser) -> None:
    with visiting(platform, browser, "vera") as visit:
        page = visit.open("/users")
        expect(page.get_by_role("region", name="You: vera, viewer")).to_be_visible()
        expect(page.get_by_role("region", name="People")).to_contain_text("Your role, viewer, may not do this")
        expect(page.get_by_role("region", name="Audit")).to_contain_text("Ask somebody with the role risk or admin")
        assert grave_findings(page) == []
        visit.screenshot("users-viewer-dark")
