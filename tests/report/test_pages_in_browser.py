"""The pages as a reader sees them: in a real Chromium, narrow and wide, light and dark, by keyboard, printed."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from hostile_texts import HOSTILE
from PIL import Image

PAGES = ("run", "several", "comparison")


def opened(browser, page, **options):
    driver = browser(**options)
    driver.get(page.as_uri())
    return driver


def picture(driver):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(driver.get_screenshot_as_base64()))).convert("L"), float)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_loaded_and_nothing_runs(browser, hostile, name):
    driver = opened(browser, hostile.pages[name])
    asked = driver.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [url for url in asked if not url.startswith("data:")] == []
    assert driver.errors() == []
    assert driver.execute_script("return [typeof window.pwned, document.scripts.length]") == ["undefined", 0]
    addresses = driver.execute_script(
        "return [...document.querySelectorAll('[src],[href]')].map(e => e.getAttribute('src') ?? e.getAttribute('href'))"
    )
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "http" not in hostile.pages[name].read_text(encoding="utf-8").replace("http-equiv", "").replace("http://evil.example", "")
    policy = driver.execute_script("return document.querySelector('meta[http-equiv=Content-Security-Policy]').content")
    assert "default-src 'none'" in policy


def test_captions_are_text(browser, hostile):
    driver = opened(browser, hostile.pages["run"], width=400)
    shown = driver.execute_script(
        "return [...document.querySelectorAll('.query bdi, .full bdi')].map(e => [e.textContent, getComputedStyle(e).unicodeBidi])"
    )
    assert {isolation for _, isolation in shown} == {"isolate"}
    texts = [" ".join(text.split()) for text, _ in shown]
    for text in HOSTILE.values():
        for asked in (text, f"{text} in other words", f"not {text}"):
            assert " ".join(asked.split()) in texts, asked[:50]
    longest = driver.execute_script("return Math.max(...[...document.querySelectorAll('.query')].map(e => e.getBoundingClientRect().height))")
    assert longest < 500, "a long sentence is cut; all of it is in the details below"
    assert not driver.find_elements("css selector", "main script, main u, main i, .query img, main b b")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("width", "dark"), [(400, False), (400, True), (1600, False), (1600, True)])
def test_fits_and_follows_the_colour_scheme(browser, hostile, name, width, dark):
    driver = opened(browser, hostile.pages[name], width=width, dark=dark)
    inner, outer = driver.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert inner <= outer
    wide = driver.execute_script(
        "return [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 90))"
    )
    assert wide == []
    seen = picture(driver)
    assert seen.std() > 10, "the page is not blank"
    assert (np.median(seen) < 60) if dark else (np.median(seen) > 230)


@pytest.mark.parametrize("name", PAGES)
def test_every_section_has_a_heading_and_a_link(browser, hostile, name):
    driver = opened(browser, hostile.pages[name])
    sections = driver.execute_script("return [...document.querySelectorAll('main > section')].map(e => [e.id, e.querySelector('h2').textContent.trim()])")
    links = driver.execute_script("return [...document.querySelectorAll('nav a')].map(e => e.getAttribute('href').slice(1))")
    assert [key for key, _ in sections] == links and all(title for _, title in sections)
    expected = {"run": {"In plain words", "Where the wording changes most", "Where it changes least", "Stable, and right?", "Parts of the set", "All numbers", "Where this comes from"},
                "several": {"In plain words", "All numbers"}, "comparison": {"Who wins", "Paired differences", "Pair by pair", "Where they differ most"}}  # fmt: skip
    assert expected[name] <= {title for _, title in sections}
    ids = driver.execute_script("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


def test_keyboard(browser, hostile):
    from selenium.webdriver.common.keys import Keys

    driver = opened(browser, hostile.pages["run"])
    keys = driver.switch_to.active_element
    keys.send_keys(Keys.TAB)
    skip = driver.switch_to.active_element
    assert skip.get_attribute("class") == "skip" and skip.rect["x"] >= 0, "the first stop is the skip link, now in sight"
    assert driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle") != "none"
    skip.send_keys(Keys.ENTER)
    assert driver.switch_to.active_element.get_attribute("id") == "content"
    driver.get(hostile.pages["run"].as_uri())
    order = []
    for _ in range(60):
        driver.switch_to.active_element.send_keys(Keys.TAB)
        order.append(driver.execute_script("const e = document.activeElement; return e.tagName + ' ' + (e.getAttribute('href') || e.className)"))
    links = [step for step in order if step.startswith("A #")]
    assert links[0] == "A #content"
    assert links[1 : links.index("A #provenance") + 1] == [f"A #{key}" for key in driver.execute_script("return [...document.querySelectorAll('main > section')].map(e => e.id)")]
    assert any(step.startswith("SUMMARY") for step in order) and "DIV scroll" in order
    unnamed = driver.execute_script("return [...document.querySelectorAll('.scroll')].filter(e => e.tabIndex !== 0 || !e.getAttribute('aria-label')).length")
    assert unnamed == 0


def test_figures_have_names_and_numbers(browser, hostile):
    driver = opened(browser, hostile.pages["comparison"])
    figures = driver.execute_script(
        "return [...document.querySelectorAll('figure svg')].map(e => [e.getAttribute('role'),"
        " e.getAttribute('aria-labelledby').split(' ').map(id => document.getElementById(id).textContent)])"
    )
    assert len(figures) >= 5
    assert all(role == "img" and all(len(text) > 8 for text in names) for role, names in figures)
    pictures = driver.execute_script("return [...document.images].map(e => e.alt)")
    assert pictures and all(pictures)
    assert driver.execute_script("return [...document.images].every(e => e.complete && e.naturalWidth > 0)")


def test_right_and_shared_pictures_are_marked_without_colour(browser, hostile):
    driver = opened(browser, hostile.pages["run"])
    right = driver.execute_script("return [...document.querySelectorAll('.frame.right')].map(e => [getComputedStyle(e.querySelector('.picture')).borderTopStyle, e.querySelector('.tick').textContent])")
    assert right and all(entry == ["double", "✓"] for entry in right)
    for example in driver.find_elements("css selector", ".example")[:4]:
        strips = example.find_elements("css selector", ".strip")
        letters = [[badge.text for badge in strip.find_elements("css selector", ".badge")] for strip in strips]
        lines = example.find_elements("css selector", "svg.links line")
        assert len(lines) == len(letters[1]) == len(set(letters[1])) and set(letters[1]) <= set(letters[0])
        for line in lines:  # a line starts below the caption's picture and ends above the paraphrase's, of the same letter
            letter = line.get_attribute("class").removeprefix("link-")
            ends = driver.execute_script(
                "const box = arguments[0].ownerSVGElement.getBoundingClientRect();"
                "return [arguments[0].x1, arguments[0].x2].map(x => box.left + x.baseVal.value)", line)  # fmt: skip
            for strip, x in zip(strips[:2], ends, strict=True):
                box = strip.find_element("css selector", f".link-{letter}").rect
                assert abs(box["x"] + box["width"] / 2 - x) < 2


def test_prints(browser, hostile):
    driver = opened(browser, hostile.pages["run"], dark=True)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    style = "const s = getComputedStyle(document.querySelector(arguments[0])); return [s.display, s.backgroundColor]"
    assert driver.execute_script(style, "nav")[0] == "none"
    assert driver.execute_script(style, "body")[1] == "rgb(255, 255, 255)"
    pdf = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"])
    assert pdf.startswith(b"%PDF") and pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") >= 3


@pytest.mark.parametrize(("name", "dark"), [("run", False), ("run", True), ("several", True), ("comparison", False), ("comparison", True)])
def test_accessibility_rules(browser, hostile, name, dark):
    package = pytest.importorskip("axe_selenium_python")
    driver = opened(browser, hostile.pages[name], dark=dark)
    driver.set_script_timeout(240)  # the machine may be busy
    driver.execute_script((Path(package.__file__).parent / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    found = driver.execute_async_script("axe.run().then(r => arguments[0](r.violations.map(v => v.id + ': ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 120)).join(' | '))))")
    assert found == []


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("name", ["run", "comparison"])
def test_real_photographs(browser, photographs, name, width):
    page = photographs.pages[name]
    assert page.stat().st_size < 3_000_000 and page.read_text(encoding="utf-8").count("data:image/jpeg") >= 40
    driver = opened(browser, page, width=width)
    assert driver.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert driver.execute_script("return [...document.images].every(e => e.complete && e.naturalWidth > 0)")
    first = driver.find_element("css selector", ".strip img")
    driver.execute_script("arguments[0].scrollIntoView()", first)
    assert picture(driver).std() > 30, "photographs are in sight"
    assert driver.find_elements("css selector", ".none") == []
