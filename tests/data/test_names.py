"""How a name becomes a benchmark, and what a wrong name says."""

from __future__ import annotations

import pytest

from parabench.data import load
from parabench.data.catalog import CATALOG, DATASETS
from parabench.data.release import write_benchmark
from parabench.errors import DataError, UsageError


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("image_id,caption,paraphrase\n1,a dog,one dog\n")
    return path


def test_a_local_path_wins_over_a_built_in_name(pairs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_benchmark(load(pairs), tmp_path / "scenes")
    got = load("scenes")
    assert got.pairs.num_rows == 1
    assert "local" in got.provenance


def test_every_built_in_set_is_described_and_registered():
    assert {entry.name for entry in CATALOG} <= set(DATASETS)
    for entry in CATALOG:
        assert entry.about and entry.needs and entry.license
        assert callable(DATASETS.get(entry.name))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("coco-paraphrases", "coco-paraphrase"),
        ("coco-cxc?rating=4", "min_rating"),
        ("coco-cxc?min_rating", "option=value"),
        ("coco-cxc?min_rating=high", "rating"),
    ],
)
def test_mistyped_names_and_options_are_answered(name, said):
    with pytest.raises(UsageError, match=said) as caught:
        load(name)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["./absent.csv", "absent.parquet", "/absent/folder/"])
def test_missing_paths_are_not_taken_for_names(name):
    with pytest.raises(DataError, match="no such file"):
        load(name)


def test_a_hub_id_without_a_network_is_one_clear_line():
    with pytest.raises(DataError, match="somebody/something") as caught:
        load("somebody/something")
    assert "\n" not in str(caught.value) and caught.value.remedy


def test_a_hub_id_is_downloaded_and_read_like_a_folder(pairs, tmp_path, monkeypatch):
    folder = write_benchmark(load(pairs), tmp_path / "snapshot")
    asked = {}

    def snapshot_download(repository, **options):
        asked.update(options, repository=repository)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    got = load("owner/set@v2")
    assert (asked["repository"], asked["revision"], asked["repo_type"]) == ("owner/set", "v2", "dataset")
    assert got.name == "set" and got.provenance.startswith("owner/set@v2 (Hugging Face Hub")
    assert got.fingerprint == load(pairs).fingerprint


def test_a_gallery_goes_with_own_pairs_only(pairs, tmp_path):
    folder = write_benchmark(load(pairs), tmp_path / "set")
    with pytest.raises(UsageError, match="gallery"):
        load(folder, gallery=pairs)


def test_picture_folders_are_checked_and_come_first(pairs, tmp_path):
    (tmp_path / "pictures").mkdir()
    assert load(pairs, images=[tmp_path / "pictures"]).image_roots[0] == tmp_path / "pictures"
    with pytest.raises(DataError, match="no such folder"):
        load(pairs, images=[tmp_path / "absent"])


def test_an_unknown_split_names_the_known_ones(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("image_id,caption,paraphrase,split\n1,a dog,one dog,dev\n")
    with pytest.raises(DataError, match="dev"):
        load(path, split="test")
