"""The review page, used by keyboard in a real browser, and what its server refuses."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest
from review_ledger import HOSTILE, make_ledger

from parabench.build.ledger import Ledger
from parabench.build.review.item import PictureFolder, word_diff
from parabench.build.reviews import ReviewTable
from parabench.errors import DataError

pytest.importorskip("flask")
from parabench.build.review.server import make_app, make_server


class Page:
    """One browser on one server."""

    def __init__(self, driver, url):
        self.driver, self.url = driver, url

    def open(self, annotator="p1", pair_id=""):
        self.driver.get("about:blank")
        self.driver.get(f"{self.url}?annotator={annotator}#{pair_id}")
        return self.settle()

    def settle(self):
        from selenium.webdriver.support.ui import WebDriverWait

        ready = "return !document.body.hasAttribute('aria-busy') && document.getElementById('count').textContent !== '–'"
        WebDriverWait(self.driver, 20).until(lambda driver: driver.execute_script(ready))
        return self

    def press(self, *keys):
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)
            self.settle()
        return self

    def text(self, element):
        return self.driver.find_element("id", element).text

    @property
    def place(self):
        return self.driver.execute_script("return decodeURIComponent(location.hash.slice(1))")

    def sentences(self):
        return [e.get_property("textContent") for e in self.driver.find_elements("css selector", ".sentence")]


@pytest.fixture
def serve(tmp_path):
    """Starts servers on ledgers made for the test; gives (url, path of the ledger)."""
    running = []

    def start(n=20, extra=(), **options):
        path = tmp_path / f"set{len(running)}.ledger"
        ledger = make_ledger(path, n, extra)
        server = make_server(make_app(ledger, **options), 0)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        running.append((server, thread, ledger))
        return f"http://127.0.0.1:{server.port}/", path

    yield start
    for server, thread, ledger in running:
        server.shutdown()
        thread.join()
        server.server_close()
        ledger.close()


def verdicts(path):
    with Ledger(path) as ledger:
        return [(r.pair_id, r.annotator, r.decision, r.reason, r.text) for r in ReviewTable(ledger)]


def test_twenty_rows_by_keyboard(browser, serve):
    from selenium.webdriver.common.keys import Keys

    url, path = serve()
    page = Page(browser(), url).open()
    assert page.text("count") == "0 of 30"
    for number in range(20):
        if number % 5 == 3:
            page.press("r", "2")
        elif number % 5 == 4:
            page.press("f").press("!", Keys.ENTER)
        else:
            page.press("a")
        assert len(verdicts(path)) == number + 1  # each is on disk before the next
    assert page.text("count") == "20 of 30"
    said = verdicts(path)
    assert [decision for _, _, decision, _, _ in said] == ["accept", "accept", "accept", "reject", "fix"] * 4
    assert said[3] == ("c2-lexical", "p1", "reject", "detail dropped", "")
    assert said[4][4] == "A brown horse number 2 barks at 4 small cats!"
    assert {annotator for _, annotator, *_ in said} == {"p1"}
    page.press("u")
    assert page.place == said[-1][0] and page.text("count") == "19 of 30" and verdicts(path) == said[:-1]
    page.press(Keys.ARROW_LEFT)
    assert page.place == said[-2][0] and "rejected this: detail dropped" in page.text("verdict")
    page.press("n")
    assert page.place == said[-1][0]
    assert page.driver.errors() == []


def test_a_closed_tab_loses_nothing(browser, serve):
    from selenium.webdriver.common.keys import Keys

    url, path = serve()
    page = Page(browser(), url).open()
    page.press("a", "a", "f")
    page.press(" and more")
    place, draft = page.place, page.driver.find_element("id", "fixed").get_property("value")
    page.driver.refresh()
    page.settle()
    assert page.place == place and len(verdicts(path)) == 2
    assert page.driver.find_element("id", "fixed").get_property("value") == draft and draft.endswith(" and more")
    page.press(Keys.ENTER)
    assert verdicts(path)[-1][4] == draft
    page.open(pair_id=place)
    assert not page.driver.find_element("id", "fix").is_displayed()  # the draft is gone with its verdict


def test_two_annotators_have_their_own_progress_and_agreement_is_shown(browser, serve):
    url, path = serve(n=2)
    first, second = Page(browser(), url).open("p1"), Page(browser(), url).open("p2")
    first.press("a", "a", "r", "1")
    assert (first.text("count"), second.text("count")) == ("3 of 3", "0 of 3")
    assert "All done" in first.text("finished")
    second.press("a", "a", "a")
    assert len(verdicts(path)) == 6
    # Two annotators, keep/reject: KK, KK, RK.  Observed disagreement 2/6; expected (2·1·5)/(6·5): α = 0.
    assert "α of keep or reject: 0.00 (2 annotators, 3 shared items)" in second.text("agreement")


def test_hostile_captions_are_text(browser, serve):
    url, _ = serve(n=1, extra=tuple(HOSTILE.values()))
    page = Page(browser(width=400), url)
    for number, text in enumerate(HOSTILE.values(), 1):
        page.open(pair_id=f"c{number}-lexical")
        assert page.sentences() == [text, text[::-1]]
        assert page.driver.title == "Review · parabench"
        assert page.driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    page.open(pair_id="c2-lexical")
    assert "invisible characters: U+202C U+202E" in page.text("texts")
    assert page.driver.errors() == []


def test_no_request_leaves_the_machine_and_every_control_has_a_name(browser, serve):
    url, _ = serve()
    page = Page(browser(dark=True), url).open()
    assert page.driver.execute_script(
        "return performance.getEntriesByType('resource').every((entry) => entry.name.startsWith(location.origin))"
    )
    page.press("f")
    nameless = page.driver.execute_script(
        "return [...document.querySelectorAll('button, input, textarea, progress')].filter((e) => !(e.textContent.trim()"
        " || e.getAttribute('aria-label') || (e.labels && e.labels.length))).map((e) => e.outerHTML)"
    )
    assert nameless == []
    assert page.driver.find_element("id", "said").get_attribute("aria-live") == "polite"


def test_the_page_asks_who_reviews(browser, serve):
    from selenium.webdriver.common.keys import Keys

    url, path = serve()
    driver = browser(width=400)
    driver.get(url)
    driver.switch_to.active_element.send_keys("Reviewer 7", Keys.ENTER)
    Page(driver, url).settle().press("a")
    assert verdicts(path) == [("c0-lexical", "Reviewer 7", "accept", "", "")]


def test_a_server_that_went_away_is_said(browser, tmp_path):
    ledger = make_ledger(tmp_path / "set.ledger")
    server = make_server(make_app(ledger), 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    page = Page(browser(), f"http://127.0.0.1:{server.port}/").open()
    server.shutdown()
    thread.join()
    server.server_close()
    ledger.close()
    page.press("a")
    assert "does not answer" in page.text("problem") and page.place == "c0-lexical"


def test_pictures_are_shown_and_placeholders_else(browser, serve, shared):
    url, _ = serve(images=shared / "coco" / "images")
    page = Page(browser(), url).open()
    loaded = "const i = document.querySelector('#picture img'); return i !== null && i.complete && i.naturalWidth > 0"
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page.driver, 20).until(lambda driver: driver.execute_script(loaded))
    page.open(pair_id="c1-lexical")
    assert "No picture here for image 140" in page.text("picture")


def ask(url, path, *, method="GET", body=None, **headers):
    host = url.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=10)
    data = None if body is None else json.dumps(body)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, data, {"Content-Type": "application/json", **names})
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, content, answer.headers


def test_other_sites_are_kept_out(serve):
    url, path = serve()
    page = urllib.request.urlopen(url)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    token = re.search(r'name="token" content="([^"]+)"', page.read().decode())[1]
    verdict = {
        "annotator": "p1", "pair_id": "c0-lexical", "decision": "accept", "reason": "", "text": "",
        "sentence": "A brown dog number 0 is barking at 2 little cats",
    }  # fmt: skip
    good = {"X_Parabench_Token": token}
    for headers in (
        {},
        {"X_Parabench_Token": "guess"},
        {**good, "Origin": "https://evil.example"},
        {**good, "Origin": "null"},
        {**good, "Host": "evil.example"},
        {**good, "Sec_Fetch_Site": "cross-site"},
    ):
        status, _, _ = ask(url, "/api/verdict", method="POST", body=verdict, **headers)
        assert status == 403, headers
    assert ask(url, "/", Host="rebound.example:80")[0] == 403
    assert verdicts(path) == []
    assert ask(url, "/api/verdict", method="POST", body=verdict, **good, Origin=url.rstrip("/"))[0] == 200
    for body in ({**verdict, "decision": "delete"}, {**verdict, "pair_id": "x"}, {**verdict, "text": 5}, [], "x"):
        assert ask(url, "/api/verdict", method="POST", body=body, **good)[0] == 400
    assert ask(url, "/api/verdict", method="POST", body={**verdict, "text": "x" * 300_000}, **good)[0] == 413
    for name in ("/image/../../etc/passwd", "/image/%2e%2e%2fset0.ledger", "/set0.ledger", "/page.html"):
        assert ask(url, name)[0] == 404, name
    assert len(verdicts(path)) == 1


def test_pictures_are_found_by_number_and_never_outside(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "val2017").mkdir(parents=True)
    (folder / "val2017" / "000000000139.jpg").write_bytes(b"x")
    (folder / "COCO_val2014_000000000042.jpg").write_bytes(b"x")
    for side in "ab":
        (folder / side).mkdir()
        (folder / side / "same.png").write_bytes(b"x")
    (tmp_path / "secret.jpg").write_bytes(b"x")
    pictures = PictureFolder(folder)
    assert pictures.find("139").name == "000000000139.jpg" and pictures.find("42").name.startswith("COCO_val2014")
    assert pictures.find("a/same.png").parent.name == "a" and pictures.find("same") is None
    assert pictures.find("../secret.jpg") is None and pictures.find("7") is None
    with pytest.raises(DataError, match="no such folder"):
        PictureFolder(tmp_path / "nowhere")


def test_word_diff_marks_what_the_caption_lacks():
    assert word_diff("A dog runs fast", "A puppy runs very fast") == [
        ("A ", False), ("puppy", True), (" runs ", False), ("very", True), (" fast", False),
    ]  # fmt: skip
    for text in ("", "  two  spaces ", "tab\tand\nline", "word " * 5000, "👩‍👩‍👧‍👦 ok"):
        assert "".join(piece for piece, _ in word_diff("a b c", text)) == text
        assert all(not changed for _, changed in word_diff(text, text))


def test_the_command_serves_until_it_is_interrupted(tmp_path):
    path = tmp_path / "set.ledger"
    with make_ledger(path, n=3) as ledger:
        for name in ("p1", "p2"):
            ReviewTable(ledger).add("c1-lexical", name, "accept")
    command = [sys.executable, "-m", "parabench", "review", "serve"]
    with subprocess.Popen([*command, str(path), "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        url = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
        assert urllib.request.urlopen(url).status == 200
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(20) == 0
    assert "p1: 1 of 5 judged" in rest and "Krippendorff's α" in rest
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        in_use = subprocess.run([*command, str(path), "--port", port], capture_output=True, text=True)
    assert in_use.returncode == 1 and in_use.stderr.count("\n") == 1 and "choose another --port" in in_use.stderr
    missing = subprocess.run([*command, str(tmp_path / "no.ledger")], capture_output=True, text=True)
    assert missing.returncode == 1 and "no such ledger" in missing.stderr and not (tmp_path / "no.ledger").exists()
