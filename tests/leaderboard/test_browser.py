"""The site as a reader uses it: in a real Chromium, by mouse and keyboard, narrow and wide, light and dark, without scripts."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from parabench.evaluate import Run
from parabench.leaderboard.ranking import paired_test
from parabench.leaderboard.reference import References
from parabench.leaderboard.serve import make_server
from parabench.leaderboard.site import build_site
from parabench.leaderboard.site.board import items_of
from parabench.leaderboard.site.build import validated

METRICS = ("both@10", "AO@10", "R@10", "R@10 paraphrase", "flip@10")


@pytest.fixture(scope="module")
def served(tiny, standing, tmp_path_factory):
    """The site of the standing entries and one whose texts try everything that is allowed, behind a server."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(standing, folder / "submissions")
    tiny.submit(
        tiny.run("odd-texts", 2.0, 8), "Odd (v1.0) @ home: x/y", folder / "submissions", license="'quoted' \"double\" & amp; {{ 7 * 7 }}",
        training_data=["=HYPERLINK('x')", "O'Reilly & \"Söhne\" – שלום"], authors=["{% raw %} `tick` $x$"], notes="javascript:alert(1)",
        links={"code": "https://example.org/?a=1&b=(2)#x"},
    )  # fmt: skip
    build_site(folder / "submissions", folder / "site", References(tiny.references))
    server = make_server(folder / "site", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/", folder=folder, site=folder / "site", references=tiny.references)
    server.shutdown()
    server.server_close()


def opened(browser, served, page="index.html", **options):
    driver = browser(**options)
    driver.get(served.url + page)
    return driver


def js(driver, code, *arguments):
    return driver.execute_script(code, *arguments)


def until(driver, code, seconds=20):
    """Wait until a page says yes."""
    for _ in range(seconds * 20):
        if found := js(driver, code):
            return found
        time.sleep(0.05)
    raise AssertionError(f"never true: {code}")


NAMES = "return [...document.querySelectorAll('#table tbody tr[data-n]')].filter(r => r.offsetParent !== null).map(r => r.querySelector('th a').textContent)"
ENTERED = NAMES.replace(".filter(", ".filter(r => !r.classList.contains('ref')).filter(")
CLICK = "[...document.querySelectorAll('#table thead button')].find(b => b.textContent === arguments[0]).click()"
SAVED = f"""const done = arguments[1], make = URL.createObjectURL; URL.createObjectURL = (blob) => {{ blob.text().then(done); return make(blob); }};
{CLICK}; [...document.querySelectorAll('#exports button')].find(b => b.textContent === 'CSV').click();"""


PLACE = "return [...document.querySelectorAll('#table thead th')].findIndex(h => h.dataset.c === arguments[0])"


def column(driver, key):
    return js(driver, "return [...document.querySelectorAll('#table tbody tr[data-n]')].filter(r => r.offsetParent !== null).map(r => +r.cells[arguments[0]].dataset.v)", js(driver, PLACE, key))


def test_sorting_by_every_metric_and_back(browser, served):
    driver = opened(browser, served)
    assert column(driver, "both@10") == sorted(column(driver, "both@10"), reverse=True)
    for heading, key in (("AO@10", "AO@10"), ("R@10 para.", "R@10 paraphrase"), ("R@10", "R@10")):
        js(driver, CLICK, heading)
        assert column(driver, key) == sorted(column(driver, key), reverse=True)
        assert js(driver, "return document.querySelector('th[aria-sort]').textContent") == heading
        js(driver, CLICK, heading)
        assert column(driver, key) == sorted(column(driver, key))
    js(driver, CLICK, "Flip@10")
    assert column(driver, "flip@10") == sorted(column(driver, "flip@10")), "lower is better: best first"
    js(driver, CLICK, "Model")
    assert js(driver, NAMES) == sorted(js(driver, NAMES), key=str.lower)
    assert driver.errors() == []


def test_ranks_follow_the_metric_and_are_ranges(browser, served):
    driver = opened(browser, served)
    ranks = "return Object.fromEntries([...document.querySelectorAll('#table tr[data-n]')].map(r => [r.querySelector('th a').textContent, r.cells[0].textContent]))"
    first = js(driver, ranks)
    assert first["Good Model"] == "1"
    assert "–" in first["Fair Model A"]
    assert {first[name] for name in ("random", "constant", "tfidf")} == {"ref"}
    told = {row["model"]: row for row in json.loads((served.site / "data" / "leaderboard.json").read_text())}
    assert {name: row["rank"] for name, row in told.items()} == first
    js(driver, CLICK, "AO@10")
    assert "ranks by AO@10" in driver.find_element("id", "status").text


def test_filters_search_and_kinds_keep_references(browser, served, tiny):
    driver = opened(browser, served)
    everyone = js(driver, ENTERED)
    assert len(everyone) == 5

    def choose(name, value):
        js(driver, "const f = document.getElementById('controls').elements[arguments[0]]; f.value = arguments[1]; f.dispatchEvent(new Event('input', {bubbles: true}))", name, value)
        time.sleep(0.3)

    choose("q", "fair model")
    assert sorted(js(driver, ENTERED)) == ["Fair Model A", "Fair Model B"]
    assert {"random", "constant", "tfidf"} <= set(js(driver, NAMES))
    assert "2 of 5 entries" in driver.find_element("id", "status").text
    choose("q", "")
    choose("track", "caption-gallery")
    assert js(driver, ENTERED) == ["Text Only"]
    choose("track", "")
    choose("training", "=HYPERLINK('x')")
    assert js(driver, ENTERED) == ["Odd (v1.0) @ home: x/y"]
    choose("training", "")
    before = driver.find_element("css selector", "tr:has(a[href*=good-model]) td:nth-child(4)").text
    choose("kind", "lexical")
    lexical = driver.find_element("css selector", "tr:has(a[href*=good-model]) td:nth-child(4) b").text
    run = Run.load(tiny.folder / "runs" / "GoodModel").result.tasks["paraphrase"].metrics["AO@10"].by_kind["lexical"]
    assert float(lexical) == pytest.approx(run.value, abs=0.0006)
    assert "lexical pairs only" in driver.find_element("id", "status").text
    driver.find_element("css selector", "button[type=reset]").click()
    time.sleep(0.3)
    assert len(js(driver, ENTERED)) == 5
    assert driver.find_element("css selector", "tr:has(a[href*=good-model]) td:nth-child(4)").text == before
    assert driver.errors() == []


def test_permalinks_restore_every_view(browser, served):
    driver = opened(browser, served)
    js(driver, CLICK, "R@10")
    js(driver, "const f = document.getElementById('controls').elements; f.q.value = 'model'; f.kind.value = 'syntactic'; f.q.dispatchEvent(new Event('input', {bubbles: true}))")
    time.sleep(0.3)
    link, shown = driver.current_url, (js(driver, NAMES), driver.find_element("id", "status").text)
    assert parse_qs(urlsplit(link).query) == {"sort": ["R@10"], "q": ["model"], "kind": ["syntactic"]}
    other = opened(browser, served, link.removeprefix(served.url))
    assert (js(other, NAMES), other.find_element("id", "status").text) == shown
    hostile = opened(browser, served, "index.html?sort=__proto__&dataset=%3Cscript%3E&track=none&q=%3Cimg%20src%3Dx%3E&dir=up&kind=toString")
    assert set(js(hostile, NAMES)) == {"random", "constant", "tfidf"}
    assert hostile.errors() == []


def test_everything_works_by_keyboard(browser, served):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    driver = opened(browser, served)
    ActionChains(driver).send_keys(Keys.TAB).perform()
    assert js(driver, "return document.activeElement.textContent") == "Skip to the content"
    reached = []
    for _ in range(40):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        reached.append(js(driver, "const a = document.activeElement; return (a.name || a.textContent || a.getAttribute('aria-label') || '').trim().slice(0, 40)"))
        if reached[-1] == "AO@10":
            break
    for name in ("dataset", "q", "track", "kind", "Both@10"):
        assert name in reached, reached
    assert js(driver, "return getComputedStyle(document.activeElement).outlineStyle") != "none"
    ActionChains(driver).send_keys(Keys.ENTER).perform()
    assert column(driver, "AO@10") == sorted(column(driver, "AO@10"), reverse=True)


def test_exports_of_the_view(browser, served, tmp_path):
    driver = opened(browser, served)
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    js(driver, "const f = document.getElementById('controls').elements; f.track.value = 'image'; f.track.dispatchEvent(new Event('input', {bubbles: true}))")
    time.sleep(0.3)
    names = js(driver, NAMES)
    files = {}
    for label, suffix in (("CSV", "csv"), ("JSON", "json"), ("LaTeX", "tex")):
        js(driver, "[...document.querySelectorAll('#exports button')].find(b => b.textContent === arguments[0]).click()", label)
        path = tmp_path / f"leaderboard-tiny.{suffix}"
        for _ in range(200):
            if path.exists() and path.stat().st_size:
                break
            time.sleep(0.05)
        files[suffix] = path.read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO(files["csv"])))
    assert [line["name"] for line in lines] == names == [row["name"] for row in json.loads(files["json"])]
    assert not any(value.startswith("=") for line in lines for value in line.values()), "no formula for a spreadsheet"
    assert files["tex"].count(r"\\") == len(names) + 1
    assert float(lines[0]["AO@10"]) == json.loads(files["json"])[0]["AO@10"]


def test_the_browsers_paired_test_is_pythons(browser, served):
    entries = {entry.id: entry for entry in validated(served.folder / "submissions", References(served.references))[0]}
    driver = opened(browser, served, "versus.html")
    pairs = [("good-model--tiny", "fair-model-a--tiny"), ("fair-model-a--tiny", "fair-model-b--tiny"), ("text-only--tiny", "random--tiny"), ("constant--tiny", "tfidf--tiny"), ("good-model--tiny", "good-model--tiny")]
    for a, b in pairs:
        for metric in METRICS:
            driver.get(f"{served.url}versus.html?dataset=tiny&a={a}&b={b}&metric={metric.replace(' ', '+')}")
            found = until(driver, "return window.headToHead ?? null")
            (first, clusters), (second, _) = items_of(entries[a], metric), items_of(entries[b], metric)
            expected = paired_test(first, second, clusters)
            for name in ("difference", "ci_low", "ci_high", "p"):
                assert found[name] == pytest.approx(getattr(expected, name), abs=1e-9), (a, b, metric, name)
            assert (found["n"], found["clusters"]) == (expected.n, expected.clusters)
    assert driver.errors() == []


def test_head_to_head_by_hand(browser, served):
    driver = opened(browser, served, "versus.html?dataset=tiny&a=fair-model-a--tiny&b=good-model--tiny")
    until(driver, "return window.headToHead ?? null")
    assert driver.find_element("id", "verdict").text == "Good Model is better by both@10"
    before = js(driver, "return window.headToHead.difference")
    driver.find_element("id", "swap").click()
    until(driver, f"return window.headToHead.difference === {-before!r} || Math.abs(window.headToHead.difference + {before!r}) < 1e-12")
    assert driver.find_element("id", "verdict").text == "Good Model is better by both@10"
    query = parse_qs(urlsplit(driver.current_url).query)
    assert (query["a"], query["b"]) == (["good-model--tiny"], ["fair-model-a--tiny"])
    js(driver, "const f = document.getElementById('choose').elements.metric; f.value = 'flip@10'; f.dispatchEvent(new Event('change', {bubbles: true}))")
    until(driver, "return document.getElementById('verdict').textContent.endsWith('flip@10')")
    table = driver.find_element("id", "cells").text
    assert "Good Model does" in table
    driver.get(served.url + "versus.html?a=%3Cscript%3Ewindow.pwned%3D1%3C/script%3E&b=../../etc&metric=x&dataset=y")
    until(driver, "return window.headToHead ?? null")
    assert js(driver, "return typeof window.pwned") == "undefined"


def test_as_a_file_the_table_works_and_head_to_head_says_what_to_do(browser, served):
    driver = browser()
    driver.get((served.site / "index.html").as_uri())
    js(driver, CLICK, "AO@10")
    assert column(driver, "AO@10") == sorted(column(driver, "AO@10"), reverse=True)
    driver.get((served.site / "versus.html").as_uri())
    until(driver, "return !document.getElementById('trouble').hidden")
    assert "parabench leaderboard serve" in driver.find_element("id", "trouble").text


def test_without_scripts_it_is_a_plain_table(browser, served):
    driver = browser()
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    driver.get(served.url)
    rows = driver.find_elements("css selector", "#table tbody tr[data-n]")
    assert len(rows) == 8
    assert all(row.is_displayed() for row in rows)
    assert not driver.find_element("id", "controls").is_displayed()
    assert not driver.find_elements("css selector", "#table thead button")
    assert [link.get_attribute("href").rpartition("/")[2] for link in driver.find_elements("css selector", "#exports a")] == ["leaderboard.csv", "leaderboard.json", "leaderboard.tex"]
    driver.get(served.url + "entries/good-model--tiny.html")
    assert driver.find_element("tag name", "h1").text == "Good Model"
    driver.get(served.url + "versus.html")
    assert "needs JavaScript" in driver.find_element("tag name", "main").text


PAGES = ["index.html", "entries/good-model--tiny.html", "entries/odd-v1.0-home-x-y--tiny.html", "versus.html"]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("width", "dark"), [(400, False), (1600, True), (400, True), (1600, False)])
def test_fits_and_follows_the_colour_scheme(browser, served, page, width, dark):
    driver = opened(browser, served, page, width=width, dark=dark)
    if page == "versus.html":
        until(driver, "return window.headToHead ?? null")
    assert js(driver, "return document.documentElement.scrollWidth") <= width
    ground = [int(part) for part in js(driver, "return getComputedStyle(document.body).backgroundColor").removeprefix("rgb(").removesuffix(")").split(",")]
    assert (np.mean(ground) < 80) == dark
    assert js(driver, "return typeof window.pwned") == "undefined"
    assert driver.errors() == []


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(browser, served, page, dark):
    package = pytest.importorskip("axe_selenium_python")
    driver = opened(browser, served, page, dark=dark)
    if page == "versus.html":
        until(driver, "return window.headToHead ?? null")
    driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    driver.set_script_timeout(60)
    js(driver, (Path(package.__file__).parent / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    found = driver.execute_async_script("axe.run().then(r => arguments[0](r.violations.map(v => v.id + ': ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(' | '))))")
    assert found == []


def test_strange_texts_are_texts(browser, served):
    driver = opened(browser, served, "entries/odd-v1.0-home-x-y--tiny.html")
    text = driver.find_element("tag name", "main").text
    for words in ("'quoted' \"double\" & amp; {{ 7 * 7 }}", "{% raw %} `tick` $x$", "O'Reilly & \"Söhne\" – שלום", "javascript:alert(1)"):
        assert words in text
    assert js(driver, "return [...document.querySelectorAll('[href]')].map(e => e.href).filter(h => !/^(https?|data):/.test(h))") == []
    assert js(driver, "return document.scripts.length + document.querySelectorAll('[style], style').length") == 0


def test_from_a_run_to_a_page_by_commands_alone(browser, tiny, tmp_path):
    tiny.run("by-commands", 1.3, 31)
    run, submissions, site = tiny.folder / "runs" / "by-commands", tmp_path / "submissions", tmp_path / "site"
    references = ["--references", str(tiny.references)]

    def parabench(*arguments):
        done = subprocess.run([sys.executable, "-m", "parabench", *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    parabench("submit", run, "--name", "By Commands", "--license", "MIT", "--training-data", "none", "--test-paraphrases", "no",
              "--author", "Ada", "--contact", "@ada", "--out", submissions, *references)  # fmt: skip
    assert "1 accepted" in parabench("leaderboard", "validate", submissions, *references)
    assert "1 entry on 1 board;" in parabench("leaderboard", "build", "--submissions", submissions, "--out", site, *references)
    again = json.loads(parabench("leaderboard", "build", "--submissions", submissions, "--out", site, *references, "--json"))
    assert (again["n_entries"], again["written"], again["refused"]) == (1, 0, [])
    told = parabench("leaderboard", "hub-results", submissions / "by-commands--tiny", "--dataset-id", "parabench/tiny", "--out", tmp_path / "model", *references)
    assert Path(told.strip()).is_file()
    server = subprocess.Popen([sys.executable, "-m", "parabench", "leaderboard", "serve", "--site", str(site), "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        driver = browser()
        driver.get(server.stdout.readline().split()[0])
        assert js(driver, NAMES) == ["By Commands"]
        driver.find_element("link text", "By Commands").click()
        assert driver.find_element("tag name", "h1").text == "By Commands"
        value = Run.load(run).value("AO@10")
        assert f"AO@10 = {value:.3f}".replace("0.", ".", 1) in driver.find_element("class name", "reading").text
    finally:
        server.kill()
        server.communicate()


def test_hundreds_of_entries_load_light_and_answer_at_once(browser, tiny, standing, tmp_path):
    """The first load of a table of 200 entries is below 300 KB; what is sorted shows its first rows at once and all of them soon."""
    submissions = tmp_path / "submissions"
    shutil.copytree(standing, submissions)
    clone = json.loads((standing / "good-model--tiny" / "submission.json").read_text())
    for number in range(200 - 7):
        name = f"Model {number:03d} of a family with a longish name"
        clone["model"] |= {"name": name, "fingerprint": f"clone-{number}"}
        folder = submissions / f"model-{number:03d}-of-a-family-with-a-longish-name--tiny"
        folder.mkdir()
        shutil.copyfile(standing / "good-model--tiny" / "rankings.parquet", folder / "rankings.parquet")
        (folder / "submission.json").write_text(json.dumps(clone))
    built = build_site(submissions, tmp_path / "site", References(tiny.references))
    assert built.n_entries == 200, built.refused[:1]
    with make_server(tmp_path / "site", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        driver = browser()
        driver.get(f"http://127.0.0.1:{server.server_port}/index.html")
        sizes = js(driver, "return performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')).map(e => [e.name, e.decodedBodySize])")
        assert sum(size for _, size in sizes) < 300_000, sizes
        assert len(js(driver, NAMES)) == 200
        js(driver, CLICK, "AO@10")
        first = js(driver, CLICK + "; " + NAMES, "Model")  # in one go: before another frame
        until(driver, NAMES.replace("return ", "return 200 === ") + ".length")
        names = js(driver, NAMES)
        assert 90 < len(first) < 120 and names[: len(first)] == first
        assert names == sorted(names, key=str.lower)
        saved = driver.execute_async_script(SAVED, "AO@10")
        assert len(list(csv.reader(io.StringIO(saved)))) == 1 + 200, "an export waits for no row"
        server.shutdown()
