"""The console as people meet it: in Chromium, by keyboard, on a phone, in the dark, and with JavaScript off."""

import json
from urllib.parse import urlencode

import pytest

from headrace.serve.console.pages import PAGES
from tests.console.browser import PHONE, opened
from tests.serve.console.hostile import PREFERENCE, TITLE, USER, item, user

EXPLORED = f"/console/explorer?{urlencode({'user': USER, 'preference': PREFERENCE, 'seed': 'x'})}"
ITEM = f"/console/items?{urlencode({'item': item(1)})}"
PATHS = {"overview" if not one.LINK.path else one.LINK.path[1:]: one.LINK.url for one in PAGES} | {
    "explored": EXPLORED,
    "item": ITEM,
    "api": "/docs",
}


@pytest.mark.parametrize("name", PATHS)
def test_wide_and_light(browser, base, tmp_path, name):
    with opened(browser, base) as seen:
        seen.go(PATHS[name]).screenshot(path=tmp_path / f"{name}.png", full_page=True)
        seen.check()
        assert seen.faults() == []
        assert "Headrace" in seen.page.title()
        assert seen.page.evaluate("typeof owned") == "undefined"


@pytest.mark.parametrize("name", PATHS)
def test_phone_and_dark(browser, base, tmp_path, name):
    with opened(browser, base, size=PHONE, scheme="dark") as seen:
        page = seen.go(PATHS[name])
        for one in page.locator("summary").all():
            one.click()
        page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        seen.check()
        assert seen.faults() == []
        red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert max(red, green, blue) < 60


def test_by_keyboard_from_the_first_page_to_an_answer_explained(browser, base):
    with opened(browser, base) as seen:
        page = seen.go("/console")

        def focused():
            return page.evaluate("document.activeElement.innerText || document.activeElement.id")

        def tab_to(what):
            for _ in range(60):
                page.keyboard.press("Tab")
                if focused().startswith(what):
                    return
            raise AssertionError(f"{what} can't be reached")

        page.keyboard.press("Tab")
        assert focused() == "Skip to the content"
        assert page.locator(".skip").bounding_box()["y"] >= 0
        tab_to("Explorer")
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/explorer")
        tab_to("Skip")
        page.keyboard.press("Enter")
        tab_to("user")
        page.keyboard.type("u1")
        page.keyboard.press("Tab")
        assert focused() == "preference"
        page.keyboard.type("wool")
        page.keyboard.press("Enter")
        page.wait_for_url("**preference=wool**")
        assert page.get_by_role("heading", name="With the preference").is_visible()
        tab_to("The way here")
        assert not page.locator("details").first.get_attribute("open")
        page.keyboard.press("Enter")
        assert page.locator("details").first.locator("td", has_text="rank").first.is_visible()
        tab_to("Leave it out")
        page.keyboard.press("Enter")
        page.wait_for_url("**exclude=p**")
        assert page.locator("#exclude").input_value().startswith("p")
        seen.check()


def test_figures_refresh_and_what_was_opened_stays_open(browser, base):
    with opened(browser, base) as seen:
        page = seen.go("/console")
        page.locator("summary").first.click()
        page.evaluate("document.querySelector('[hx-get] dl').dataset.old = 'yes'")
        page.wait_for_selector("[hx-get] dl:not([data-old])")
        page.wait_for_selector("[data-chart] svg")
        assert page.locator("details").first.get_attribute("open") is not None
        seen.check()


def test_charts_follow_the_reader_into_the_dark(browser, base):
    with opened(browser, base) as seen:
        page = seen.go("/console/funnel")
        before = page.locator("[data-chart] svg").inner_html()
        page.emulate_media(color_scheme="dark")
        page.wait_for_function("before => document.querySelector('[data-chart] svg').innerHTML !== before", arg=before)
        seen.check()


@pytest.mark.parametrize("name", PATHS)
def test_without_scripts_everything_can_be_read(browser, base, name):
    with opened(browser, base, scripts=False) as seen:
        page = seen.page
        page.goto(base + PATHS[name])
        assert page.locator("h1").is_visible()
        for one in page.locator("figure.chart").all():
            one.locator("summary").click()
            assert one.locator("td").first.is_visible()
        assert seen.elsewhere == []


def test_a_request_is_sent_from_the_api_s_page(browser, base):
    """With a key that is kept in the page, which is not asked for here; nobody else is asked for anything."""
    with opened(browser, base) as seen:
        page = seen.go("/docs")
        assert page.locator("details.route").count() >= 15
        page.locator("#secret").fill("hr_key")
        page.get_by_role("button", name="Authorize").click()
        assert "_key" in page.locator("#authorized").inner_text()
        form = page.locator("form.try[data-path='/v1/recommend']")
        form.locator("textarea").fill(f'{{"user_id": {json.dumps(user(1))}}}')
        with page.expect_request("**/v1/recommend") as asked:
            form.get_by_role("button", name="Send").click()
        assert asked.value.headers["authorization"] == "Bearer hr_key"
        form.locator(".answered pre").wait_for()
        assert form.locator(".answered .tag").inner_text() == "200"
        assert "propensity" in form.locator(".answered pre").inner_text()
        folded = page.locator("details[data-route='GET /v1/items/{item_id}']")
        page.evaluate("id => { location.hash = encodeURIComponent(id); }", folded.get_attribute("id"))
        page.wait_for_function("id => document.getElementById(id).open", arg=folded.get_attribute("id"))
        folded.locator("form.try input").fill("p1/none")
        folded.get_by_role("button", name="Send").click()
        folded.locator(".answered pre").wait_for()
        assert folded.locator(".answered .tag").inner_text() == "404"
        assert seen.elsewhere == []
        assert [one for one in seen.said if "404" not in one] == []


def test_markup_in_titles_is_text(browser, base):
    with opened(browser, base) as seen:
        page = seen.go(EXPLORED)
        assert TITLE in page.locator("main").inner_text()
        assert page.locator("main script:not([type='application/json'])").count() == 0
        assert page.locator("#user").input_value() == USER
        seen.check()


def test_a_blocked_script_would_be_noticed(browser, base):
    """The policy itself: what a page can't be made to hold would not run either."""
    with opened(browser, base) as seen:
        page = seen.go("/console/funnel")
        page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.owned = 1'}))")
        assert page.evaluate("typeof owned") == "undefined"
        assert any("Content Security Policy" in one for one in seen.said)


def test_a_fault_would_be_noticed(browser, base):
    with opened(browser, base) as seen:
        page = seen.go("/console/funnel")
        page.evaluate("document.querySelector('main').append(document.createElement('input'))")
        assert [one for one in seen.faults() if one.startswith("label")]
        page.evaluate("document.querySelector('main').style.width = '3000px'")
        with pytest.raises(AssertionError):
            seen.check()
