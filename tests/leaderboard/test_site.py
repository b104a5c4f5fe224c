"""The site as files: exports, feed, folder, size; and the Hub's files."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import yaml
from hub import Hub, Repository

import parabench
from parabench.errors import DataError
from parabench.leaderboard.ahead import score_ahead
from parabench.leaderboard.hub import open_pull_request, write_eval_results
from parabench.leaderboard.reference import Reference, References
from parabench.leaderboard.serve import make_server
from parabench.leaderboard.site import build_site
from parabench.leaderboard.site.board import boards_of
from parabench.leaderboard.site.build import validated
from parabench.leaderboard.site.folder import JOURNAL, SiteFolder
from parabench.leaderboard.validate import find_submissions


@pytest.fixture(scope="module")
def site(tiny, standing, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "site"
    build_site(standing, out, References(tiny.references), url="https://board.example.org/x")
    return out


def test_exports_agree(site):
    rows = json.loads((site / "data" / "leaderboard.json").read_text())
    lines = list(csv.DictReader(io.StringIO((site / "data" / "leaderboard.csv").read_text())))
    assert [row["entry"] for row in rows] == [line["entry"] for line in lines]
    assert len(rows) == 7
    for row, line in zip(rows, lines, strict=True):
        assert float(line["AO@10"]) == row["AO@10"]
        assert float(line["both@10 low"]) == row["both@10 low"]
    latex = (site / "data" / "leaderboard.tex").read_text()
    assert latex.count(r"\\") == 8
    assert "Good Model" in latex


def test_references_are_shown_and_not_ranked_and_the_constant_encoder_does_not_win(site):
    rows = {row["model"]: row for row in json.loads((site / "data" / "leaderboard.json").read_text())}
    assert {name for name, row in rows.items() if row["rank"] == "ref"} == {"random", "constant", "tfidf"}
    assert rows["constant"]["AO@10"] == 1
    assert rows["Good Model"]["rank"] == "1"
    assert rows["Fair Model A"]["rank"] == rows["Fair Model B"]["rank"] == "2–3"
    assert rows["Text Only"]["rank"] == "1"  # alone in its track
    assert rows["Text Only"]["track"] == "caption-gallery"


def test_people_are_a_reference_where_they_were_asked(tiny, standing):
    entries, _ = validated(standing, References(tiny.references))
    assert boards_of(entries)[0].people is None
    ratings = np.random.default_rng(0).integers(0, 6, entries[0].reference.n_pairs) / 5
    for entry in entries:
        entry.reference = dataclasses.replace(entry.reference, ratings=ratings)
    people = boards_of(entries)[0].people
    assert people.value == pytest.approx(ratings.mean())
    assert people.ci_low < people.value < people.ci_high


def test_ratings_of_people_come_from_the_set(shared_data):
    reference = Reference.of(parabench.load("coco-cxc"))
    assert len(reference.ratings) == reference.n_pairs > 3000
    assert 0.8 <= reference.ratings.min() <= reference.ratings.max() <= 1


def test_published_pairs_give_the_numbers_of_the_table(site):
    unit = json.loads((site / "data" / "tiny.json").read_text())
    rows = {row["entry"]: row for row in json.loads((site / "data" / "leaderboard.json").read_text())}
    for entry in unit["entries"]:
        told = np.frombuffer((site / "data" / "pairs" / f"{entry['id']}.bin").read_bytes(), "<u2").reshape(3, -1)
        ao, caption, paraphrase = told[0] / unit["ao_scale"], told[1] <= 10, told[2] <= 10
        row = rows[entry["id"]]
        assert ao.mean() == pytest.approx(row["AO@10"], abs=1e-12)
        assert (caption & paraphrase).mean() == pytest.approx(row["both@10"], abs=1e-12)
        assert caption[unit["first"]].mean() == pytest.approx(row["R@10"], abs=1e-12)
        assert (caption != paraphrase).mean() == pytest.approx(row["flip@10"], abs=1e-12)


def test_the_feed_is_rss_with_absolute_links(site):
    channel = ET.fromstring((site / "feed.xml").read_text()).find("channel")
    items = channel.findall("item")
    assert {item.findtext("title") for item in items} == {f"{name} on tiny" for name in ("Good Model", "Fair Model A", "Fair Model B", "Text Only")}
    assert all(item.findtext("link").startswith("https://board.example.org/x/entries/") for item in items)
    assert all((site / item.findtext("link").removeprefix("https://board.example.org/x/")).is_file() for item in items)
    assert "Rank 1," in " ".join(item.findtext("description") for item in items)


def test_every_link_of_every_page_leads_somewhere(site):
    from html.parser import HTMLParser

    class Links(HTMLParser):
        def __init__(self):
            super().__init__()
            self.found = []

        def handle_starttag(self, tag, attributes):
            self.found += [value for name, value in attributes if name in ("href", "src")]

    for page in site.rglob("*.html"):
        links = Links()
        links.feed(page.read_text(encoding="utf-8"))
        for link in links.found:
            if link.startswith(("https://", "data:", "#")):
                continue
            assert (page.parent / link.split("?")[0].split("#")[0]).resolve().is_file(), (page, link)


def test_a_second_build_writes_nothing(tiny, standing, site):
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*") if path.is_file() and path.name != ".parabench-site.json"}
    built = build_site(standing, site, References(tiny.references), url="https://board.example.org/x/")
    assert (built.written, built.removed) == (0, 0)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_scores_of_many_new_entries_come_from_all_cores_and_are_the_same(tiny, standing, tmp_path, monkeypatch):
    """Built from an empty cache by several processes, the site is the same to the byte."""
    submissions = tmp_path / "submissions"
    shutil.copytree(standing, submissions)
    (submissions / "broken--tiny").mkdir()
    for salt in range(5):
        tiny.submit(tiny.run(f"extra{salt}", 2.5, 40 + salt), f"Extra number {'abcde'[salt]}", submissions)
    build_site(submissions, tmp_path / "one", References(tiny.references))
    monkeypatch.setenv("PARABENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    score_ahead(find_submissions([submissions]), References(tiny.references))
    assert len(list((tmp_path / "cache" / "leaderboard").glob("*.json"))) == 12
    build_site(submissions, tmp_path / "two", References(tiny.references))
    one, two = ({path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()} for site in (tmp_path / "one", tmp_path / "two"))
    assert one == two


def test_damaged_scores_in_the_cache_are_computed_again(tiny, standing, tmp_path, monkeypatch):
    monkeypatch.setenv("PARABENCH_CACHE", str(tmp_path / "cache"))
    first = validated(standing, References(tiny.references))[0][0]
    for path in (tmp_path / "cache" / "leaderboard").glob("*.json"):
        path.write_text(path.read_text().replace('"value":', '"value": 0', 1))
    again = validated(standing, References(tiny.references))[0][0]
    assert again.scored.tasks == first.scored.tasks


def test_only_what_a_build_made_is_removed(tiny, standing, tmp_path):
    submissions, out = tmp_path / "submissions", tmp_path / "site"
    shutil.copytree(standing, submissions)
    build_site(submissions, out, References(tiny.references))
    (out / "entries" / "mine.html").write_text("mine")
    (out / "CNAME").write_text("example.org")
    edited = out / "entries" / "fair-model-a--tiny.html"
    edited.write_text("edited by hand")
    shutil.rmtree(submissions / "fair-model-a--tiny")
    shutil.rmtree(submissions / "text-only--tiny")
    built = build_site(submissions, out, References(tiny.references))
    assert built.removed == 3  # page and pairs of one, pairs of the other, whose page was edited
    assert (out / "entries" / "mine.html").read_text() == "mine"
    assert (out / "CNAME").read_text() == "example.org"
    assert edited.read_text() == "edited by hand"
    assert not (out / "entries" / "text-only--tiny.html").exists()


def test_a_killed_build_leaves_nothing_that_the_next_takes_for_foreign(tmp_path):
    first = SiteFolder(tmp_path)
    first.write("a.html", "one")
    first.write("b.html", "old")
    first.finish()
    killed = SiteFolder(tmp_path)
    killed.write("a.html", "two")
    killed.write("c.html", "new")  # and it never finishes
    with (tmp_path / JOURNAL).open("a") as journal:
        journal.write('["d.ht')
    third = SiteFolder(tmp_path)
    third.write("a.html", "three")
    third.write("c.html", "newer")
    assert third.finish() == 1
    assert {path.name: path.read_text() for path in tmp_path.glob("*.html")} == {"a.html": "three", "c.html": "newer"}
    assert not (tmp_path / JOURNAL).exists()
    (tmp_path / "c.html").write_text("by hand")
    with pytest.raises(DataError, match="was not made by a build"):
        SiteFolder(tmp_path).write("c.html", "again")


def test_a_foreign_file_is_never_overwritten(tiny, standing, tmp_path):
    out = tmp_path / "site"
    out.mkdir()
    (out / "index.html").write_text("my own home page")
    with pytest.raises(DataError, match="was not made by a build"):
        build_site(standing, out, References(tiny.references))
    assert (out / "index.html").read_text() == "my own home page"
    (out / "index.html").unlink()
    (out / "index.html").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="was not made by a build"):
        build_site(standing, out, References(tiny.references))
    assert not (tmp_path / "elsewhere").exists()
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(DataError, match="is a file"):
        build_site(standing, file, References(tiny.references))


def test_nothing_to_build(tiny, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        build_site(tmp_path / "absent", tmp_path / "site", References(tiny.references))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="passes"):
        build_site(tmp_path / "empty", tmp_path / "site", References(tiny.references))
    assert not (tmp_path / "site").exists()


def test_the_server_shows_the_site_and_nothing_else(site, tmp_path):
    (tmp_path / "secret").write_text("secret")
    with make_server(site, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert b"Same pictures" in urllib.request.urlopen(url + "/").read()
        for path in ("/entries/", "/../../etc/passwd", "/%2e%2e/%2e%2e/secret", "/absent.html"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(url + path)
        with pytest.raises(DataError, match="choose another --port"):
            make_server(site, server.server_port)
        server.shutdown()
    with pytest.raises(DataError, match="build one first"):
        make_server(tmp_path, 0)


def test_eval_results_are_what_the_hubs_client_reads(tiny, standing, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    path = write_eval_results(standing / "good-model--tiny", References(tiny.references), tmp_path, "parabench/tiny", source_url="https://board.example.org/entries/x.html")
    assert path == tmp_path / ".eval_results" / "tiny.yaml"
    (entry,) = hub.parse_eval_result_entries(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert (entry.dataset_id, entry.task_id, entry.source_name) == ("parabench/tiny", "tiny", "parabench leaderboard")
    told = json.loads((standing / "good-model--tiny" / "submission.json").read_text())["numbers"]["paraphrase"]["AO@10"]["value"]
    assert entry.value == round(100 * told, 2)
    assert "R@10" in entry.notes


def test_a_pull_request_on_a_hub(standing, tmp_path):
    """Against a server on this machine that speaks the Hub's protocol: the entry is proposed, not pushed."""
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.repositories["dataset", "parabench/leaderboard"] = repository = Repository()
    repository.commit({"README.md": b"x"})
    code = (
        "import sys; from pathlib import Path; from parabench.leaderboard.hub import open_pull_request; "
        "print(open_pull_request(Path(sys.argv[1]), sys.argv[2]))"
    )

    def ask(target, **environment):
        command = [sys.executable, "-c", code, str(standing / "good-model--tiny"), target]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | server.environment(tmp_path, **environment))

    done = ask("dataset:parabench/leaderboard")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{server.url}/datasets/parabench/leaderboard/discussions/1"
    (proposed,) = repository.pulls
    for name in ("submission.json", "rankings.parquet"):
        assert proposed[f"leaderboard/submissions/good-model--tiny/{name}"] == (standing / "good-model--tiny" / name).read_bytes()
    assert list(repository.commits[-1][1]) == ["README.md"]
    assert "no token" in ask("dataset:parabench/leaderboard", token=None).stderr
    assert "did not take the pull request" in ask("dataset:parabench/absent").stderr
    server.shutdown()


def test_a_malformed_target_is_refused(standing):
    with pytest.raises(Exception, match="no repository on the Hub"):
        open_pull_request(standing / "good-model--tiny", "parabench/leaderboard")
