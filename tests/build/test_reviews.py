"""Verdicts: appended, taken back, resolved by vote; out to a table and back."""

from __future__ import annotations

import json

import pytest
from review_ledger import make_ledger

from parabench.build.candidates import CandidateTable
from parabench.build.review.exchange import export_reviews, import_reviews
from parabench.build.reviews import Resolution, ReviewTable
from parabench.errors import DataError, ParabenchError, UsageError


@pytest.fixture
def ledger(tmp_path):
    with make_ledger(tmp_path / "set.ledger") as opened:
        yield opened


@pytest.fixture
def reviews(ledger):
    return ReviewTable(ledger)


def test_undo_is_an_appended_row_and_the_earlier_verdict_counts_again(reviews, ledger):
    reviews.add("c1-lexical", "p1", "accept")
    reviews.add("c1-lexical", "p1", "reject", reason="not fluent")
    assert reviews.current("c1-lexical")["p1"].decision == "reject"
    assert reviews.undo("p1").decision == "reject"
    assert reviews.current("c1-lexical")["p1"].decision == "accept"
    assert reviews.undo("p1").decision == "accept"
    assert reviews.current("c1-lexical") == {} and reviews.undo("p1") is None
    rows = ledger.connection.execute("SELECT decision FROM reviews ORDER BY sequence").fetchall()
    assert [row for (row,) in rows] == ["accept", "reject", "undo", "undo"]


def test_undo_takes_back_only_ones_own_verdicts(reviews):
    reviews.add("c1-lexical", "p1", "accept")
    reviews.add("c1-lexical", "p2", "accept")
    assert reviews.undo("p1").annotator == "p1"
    assert list(reviews.current("c1-lexical")) == ["p2"]


@pytest.mark.parametrize(
    ("verdicts", "kept", "text"),
    [
        (["accept"], True, ""),
        (["reject"], False, ""),
        (["accept", "reject"], False, ""),
        (["accept", "accept", "reject"], True, ""),
        (["fix:B", "reject", "accept"], True, "B"),
        (["accept", "fix:B"], True, "B"),
        (["accept", "accept", "fix:B"], True, ""),
        (["fix:B", "fix:C", "fix:B"], True, "B"),
        (["fix:B", "fix:C"], True, "C"),
        (["reject", "reject", "fix:B", "accept", "accept"], True, ""),
    ],
)
def test_votes(reviews, verdicts, kept, text):
    for number, verdict in enumerate(verdicts):
        decision, _, wording = verdict.partition(":")
        reason = "detail added" if decision == "reject" else ""
        reviews.add("c1-lexical", f"p{number}", decision, reason=reason, text=wording)
    resolution = reviews.resolutions()["c1-lexical"]
    assert resolution == Resolution(reason="" if kept else "reviewers: detail added", text=text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope", "p1", "accept"), "no candidate 'nope'"),
        (("c0-free", "p1", "accept"), "too short"),
        (("c1-lexical", "p1", "acept"), "did you mean 'accept'"),
        (("c1-lexical", "", "accept"), "pseudonym"),
        (("c1-lexical", "<b>", "accept"), "pseudonym"),
        (("c1-lexical", "p1", "reject"), "needs a reason"),
        (("c1-lexical", "p1", "fix"), "needs the fixed text"),
    ],
)
def test_a_bad_verdict_is_refused_and_leaves_nothing(reviews, arguments, message):
    with pytest.raises(DataError, match=message):
        reviews.add(*arguments)
    assert list(reviews) == []


def test_a_fix_has_to_be_another_wording(reviews, ledger):
    candidate = CandidateTable(ledger).get("c1-lexical")
    for text in (candidate.text, f"  {candidate.text} ", candidate.caption.text):
        with pytest.raises(DataError, match=r"same as before|caption itself"):
            reviews.add("c1-lexical", "p1", "fix", text=text)


def test_a_verdict_on_an_earlier_wording_no_longer_counts(reviews, ledger):
    from dataclasses import replace

    reviews.add("c1-lexical", "p1", "accept")
    table = CandidateTable(ledger)
    table.replace([replace(c, text="Another sentence") if c.pair_id == "c1-lexical" else c for c in list(table)])
    assert reviews.current("c1-lexical") == {} and reviews.progress("p1").done == 0
    with pytest.raises(DataError, match="changed since it was shown"):
        reviews.add("c1-lexical", "p1", "accept", sentence="the old one")


def test_next_goes_round_and_overlap_spares_what_enough_have_judged(reviews):
    assert reviews.next_open("p1") == "c0-lexical"
    reviews.add("c0-lexical", "p1", "accept")
    assert reviews.next_open("p1", reviews.place("c0-lexical")) == "c0-foil"
    last = reviews.place("c19-lexical")
    assert reviews.next_open("p1", last) == "c0-foil"
    assert reviews.next_open("p2") == "c0-lexical" and reviews.next_open("p2", overlap=1) == "c0-foil"
    assert (reviews.progress("p1").total, reviews.progress("p1").done) == (30, 1)
    assert reviews.progress("p2", overlap=1).total == 29
    assert reviews.place("c0-free") is None and reviews.place("nope") is None


def test_two_processes_share_one_ledger(reviews, ledger):
    from parabench.build.ledger import Ledger

    with Ledger(ledger.path) as other:
        ReviewTable(other).add("c1-lexical", "p2", "accept")
        reviews.add("c1-lexical", "p1", "accept")
        assert set(ReviewTable(other).current("c1-lexical")) == {"p1", "p2"}


@pytest.mark.parametrize("name", ["reviews.csv", "reviews.jsonl"])
def test_export_and_import_are_a_round_trip(reviews, ledger, tmp_path, name):
    reviews.add("c0-lexical", "p1", "accept")
    reviews.add("c0-lexical", "p2", "reject", reason='odd, "very" odd')
    reviews.add("c2-foil", "p1", "fix", text="Ünïcode, with \u2028 and 🍕")
    out = tmp_path / name
    assert export_reviews(ledger, out) == (3, 28)
    with make_ledger(tmp_path / "other.ledger") as other:
        assert import_reviews(other, out) == (3, 0, 28)
        assert import_reviews(other, out) == (0, 3, 28)
        keys = ("pair_id", "annotator", "decision", "reason", "text", "sentence", "created")
        assert [[getattr(r, k) for k in keys] for r in ReviewTable(other)] == [
            [getattr(r, k) for k in keys] for r in reviews
        ]
        again = tmp_path / f"again-{name}"
        export_reviews(other, again)
    assert again.read_bytes() == out.read_bytes()


def test_export_for_one_annotator_hides_the_others(reviews, ledger, tmp_path):
    reviews.add("c0-lexical", "p2", "reject", reason="not fluent")
    export_reviews(ledger, tmp_path / "p1.jsonl", "p1")
    rows = [json.loads(line) for line in (tmp_path / "p1.jsonl").read_text().splitlines()]
    assert len(rows) == 30 and {row["decision"] for row in rows} == {""} and {row["annotator"] for row in rows} == {"p1"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("nope,accept,,,p1", r"in\.csv, line 3: no candidate 'nope'"),
        ("c1-lexical,maybe,,,p1", r"line 3: 'maybe' is no decision"),
        ("c1-lexical,reject,,,p1", "line 3: a rejection needs a reason"),
        ("c1-lexical,fix,,,p1", "line 3: a fix needs"),
        ("c1-lexical,accept,,new text,p1", "line 3: the decision is 'accept' and a fixed text"),
        ("c1-lexical,accept,,,", "line 3: '' is no name"),
        ("c1-lexical,accept", "line 3: 2 fields"),
    ],
)
def test_a_bad_row_refuses_the_whole_file(reviews, ledger, tmp_path, row, message):
    path = tmp_path / "in.csv"
    path.write_text(f"pair_id,decision,reason,text,annotator\nc0-lexical,accept,,,p1\n{row}\n")
    with pytest.raises(DataError, match=message):
        import_reviews(ledger, path)
    assert list(reviews) == []


def test_files_that_are_no_reviews(ledger, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("pair_id,decision\nc0-lexical,accept\n")
    with pytest.raises(DataError, match="no column 'annotator'"):
        import_reviews(ledger, path)
    assert import_reviews(ledger, path, "p9") == (1, 0, 0)
    with pytest.raises(UsageError, match=r"\.csv or \.jsonl"):
        export_reviews(ledger, tmp_path / "reviews.xlsx")
    with pytest.raises(ParabenchError, match="can't write"):
        export_reviews(ledger, path / "reviews.csv")
    stale = tmp_path / "stale.csv"
    stale.write_text("pair_id,decision,annotator,sentence\nc1-lexical,accept,p1,What it said before\n")
    with pytest.raises(DataError, match="line 2: the sentence of 'c1-lexical' has changed"):
        import_reviews(ledger, stale)
