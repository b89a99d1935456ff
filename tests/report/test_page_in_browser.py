"""The page in a real browser: it opens, the slider works, nothing is missing, text can be read."""

import os
import shutil

import pytest

import ptycho_fast
from ptycho_fast.report.page import write_page

pytestmark = pytest.mark.browser

CONTRAST = """() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const luminance = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour[3] === 1) return colour;
    }
    return [255, 255, 255, 1];
  };
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.getClientRects().length || element.closest("script, option")) continue;
    const style = getComputedStyle(element);
    const ink = element.closest("svg") ? style.fill : style.color;
    const [a, b] = [luminance(parse(ink)), luminance(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push([element.tagName, element.textContent.slice(0, 40), ratio]);
  }
  return low;
}"""


@pytest.fixture(scope="module")
def browser():
    # These tests are asked for by their mark; without a browser they fail, they are not skipped.
    from playwright.sync_api import sync_playwright

    path = os.environ.get("PTYCHO_FAST_BROWSER") or shutil.which("chromium")
    assert path, "no chromium; name a browser in PTYCHO_FAST_BROWSER"
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    scenario = ptycho_fast.Scenario.preset("gs2_ideal").replace(
        {"scan.n_patterns": 40, "dose.nphotons": 1e5}
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(ptycho_fast.simulate(scenario), path, command="ptycho-fast simulate gs2_ideal")
    return path.as_uri()


@pytest.fixture
def opened(browser, address):
    """Open the page; fail on any error of it, and on anything that it asks for elsewhere."""
    problems, contexts = [], []

    def look(width=1280, height=900, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.on(
            "request",
            lambda request: (
                request.url == address
                or request.url.startswith("data:")
                or problems.append(request.url)
            ),
        )
        page.goto(address)
        return page

    yield look
    for context in contexts:
        context.close()
    assert problems == []


def test_it_opens_with_all_its_pictures(opened):
    page = opened()
    assert "gs2_ideal" in page.title()
    broken = "() => [...document.images].filter((i) => !i.complete || !i.naturalWidth).length"
    assert page.evaluate(broken) == 0
    assert page.locator("svg").count() >= 9


def test_the_slider_by_keyboard_and_mouse(opened):
    page = opened()
    slider, words = page.locator("#which"), page.locator("#pattern-words")
    first, picture = words.inner_text(), page.locator("#pattern").get_attribute("src")
    slider.focus()
    page.keyboard.press("ArrowRight")
    second = words.inner_text()
    assert second != first
    assert page.locator("#pattern").get_attribute("src") != picture
    assert page.locator("#pattern").get_attribute("alt") == second
    page.keyboard.press("End")
    assert words.inner_text().startswith("pattern 39 ")
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert words.inner_text() not in (first, second)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_text_has_contrast_and_fits(opened, scheme, width):
    page = opened(width=width, scheme=scheme)
    page.locator("details").evaluate_all("all => all.forEach((one) => one.open = true)")
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_it_prints(opened):
    page = opened()
    page.emulate_media(media="print")
    assert not page.locator("#which").is_visible()
    assert page.locator(".printed img").first.is_visible()
    assert page.pdf(format="A4")[:4] == b"%PDF"
