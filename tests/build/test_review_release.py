"""From a build over people's verdicts to the release, as a user types it."""

from __future__ import annotations

import csv
import subprocess
import sys

from made_captions import write_captions

from parabench.build.release import verify_checksums
from parabench.data import load


def parabench(*arguments, code=0):
    command = [sys.executable, "-m", "parabench", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_build_review_build_again(tmp_path):
    captions, out, table = write_captions(tmp_path / "captions.json", 12), tmp_path / "set", tmp_path / "tasks.csv"
    build = ("build-dataset", "--captions", captions, "--generator", "rules", "--out", out)
    parabench(*build)
    before = load(out).pairs.to_pylist()
    ledger = tmp_path / "set.ledger.sqlite"
    assert f"0 verdicts, {len(before)} rows to judge" in parabench("review", "export", ledger, "--out", table, "--annotator", "p1")
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["sentence"] for row in rows] == [row["paraphrase"] for row in before]
    rows[0] |= {"decision": "reject", "reason": "not fluent"}
    rows[1] |= {"decision": "fix", "text": "A wording that a person wrote."}
    rows[2] |= {"decision": "accept"}
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert "3 verdicts added" in parabench("review", "import", ledger, table)
    assert "0 verdicts added, 3 were there already" in parabench("review", "import", ledger, table)
    assert '{"added": 0, "present": 3, ' in parabench("review", "import", ledger, table, "--json")
    assert f"review: 3 verdicts of 1 person on 3 sentences, 1 dropped, 1 reworded; {len(before) - 1} pairs and 0 foils" in parabench(*build)
    after = load(out)
    kept = {row["pair_id"]: row["paraphrase"] for row in after.pairs.to_pylist()}
    assert rows[0]["pair_id"] not in kept and kept[rows[1]["pair_id"]] == "A wording that a person wrote."
    assert set(kept) == {row["pair_id"] for row in before} - {rows[0]["pair_id"]}
    reasons = {(row["pair_id"], row["reason"]) for row in after.rejected.to_pylist()}
    assert {(rows[0]["pair_id"], "reviewers: not fluent"), (rows[1]["pair_id"], "reviewers: reworded")} <= reasons
    assert verify_checksums(out)


def test_what_is_no_ledger_is_said(tmp_path):
    text = tmp_path / "notes.sqlite"
    text.write_text("not a database, really not, but long enough to look at" * 50)
    for command in (("export", text, "--out", tmp_path / "x.csv"), ("serve", text), ("import", text, text)):
        assert "is not a ledger" in parabench("review", *command, code=1)
    assert "no such ledger" in parabench("review", "export", tmp_path / "none", "--out", tmp_path / "x.csv", code=1)
    empty = tmp_path / "empty.sqlite"
    empty.touch()
    for command in (("export", empty, "--out", tmp_path / "x.csv"), ("serve", empty)):
        assert "no candidates to review" in parabench("review", *command, code=1)
    assert not (tmp_path / "x.csv").exists()
