"""Our own set: `build-dataset` without arguments, and the built-in name, are one and the same."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from parabench.build.release import verify_checksums
from parabench.data import load
from parabench.data.schema import TABLES


@pytest.fixture(scope="module")
def built(shared, tmp_path_factory):
    """The release, built by the command as a user types it, with the annotations found in ``$PARABENCH_DATA``."""
    import os

    folder = tmp_path_factory.mktemp("own")
    environment = {**os.environ, "PARABENCH_DATA": str(shared), "SOURCE_DATE_EPOCH": "1795478400"}
    command = [sys.executable, "-m", "parabench", "build-dataset"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return folder / "coco-paraphrase"


def test_the_built_in_set_is_the_release_row_for_row(built, shared):
    builtin, release = load("coco-paraphrase", annotations=shared), load(built)
    for table in TABLES:
        left, right = getattr(builtin, table), getattr(release, table)
        assert left.equals(right), next(
            (a, b) for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True) if a != b
        )
    assert builtin.fingerprint == release.fingerprint and builtin.name == release.name == "coco-paraphrase"


def test_every_sentence_is_kept_or_rejected_with_a_reason(built):
    release = load(built)
    assert release.pairs.num_rows + release.foils.num_rows + release.rejected.num_rows == 15_000
    assert release.pairs.num_rows >= 4155  # as many as the paper's set
    ids = [*release.pairs["pair_id"].to_pylist(), *release.foils["pair_id"].to_pylist(), *release.rejected["pair_id"].to_pylist()]
    assert len(set(ids)) == 15_000 and all(release.rejected["reason"].to_pylist())
    reasons = Counter(reason.partition(":")[0] for reason in release.rejected["reason"].to_pylist())
    assert reasons["review"] == 822 and len(reasons) > 5


def test_the_release_is_whole_and_its_card_is_honest(built):
    assert verify_checksums(built) >= 12
    card = (built / "README.md").read_text(encoding="utf-8")
    assert "no person has checked them" in card and "machine-generated" in card and "CC BY 4.0" in card


def test_datasets_reads_every_config(built, tmp_path):
    import datasets

    release = load(built)
    for config in TABLES:
        rows = datasets.load_dataset(str(built), config, split="test", cache_dir=str(tmp_path))
        assert len(rows) == getattr(release, config).num_rows
