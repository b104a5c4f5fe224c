"""A benchmark folder: what is written is read back, also by `datasets`, and checked like any file."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from parabench.data import load
from parabench.data.release import write_benchmark
from parabench.errors import DataError


@pytest.fixture
def benchmark(tmp_path):
    pairs = tmp_path / "own.csv"
    pairs.write_text(
        "image_id,caption,paraphrase,foil,human,split\n"
        "1,a dog,one dog,a cat,4.5,train\n"
        "2,a car,one car,,3,test\n"
        "10,a hat,one hat,a coat,5,test\n"
    )
    return load(pairs)


def test_what_is_written_is_read_back(benchmark, tmp_path):
    folder = write_benchmark(
        benchmark, tmp_path / "set", "## Made by hand", metadata={"license": "cc-by-4.0"}
    )
    got = load(folder)
    assert got.fingerprint == benchmark.fingerprint
    for table in ("pairs", "gallery", "foils", "rejected"):
        assert getattr(got, table).equals(getattr(benchmark, table)), table
    card = (folder / "README.md").read_text()
    assert "license: cc-by-4.0" in card and "## Made by hand" in card
    assert got.provenance.startswith(str(folder))
    assert load(folder, split="test").pairs.num_rows == 2


def test_datasets_reads_the_folder_as_it_is(benchmark, tmp_path):
    datasets = pytest.importorskip("datasets")
    folder = write_benchmark(benchmark, tmp_path / "set")
    pairs = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "hf"))
    assert {name: len(rows) for name, rows in pairs.items()} == {"train": 1, "test": 2}
    assert pairs["train"][0]["paraphrase"] == "one dog"
    assert pairs["train"][0]["scores"] == [{"name": "human", "value": 4.5}]
    gallery = datasets.load_dataset(str(folder), "gallery", cache_dir=str(tmp_path / "hf"))
    assert [row["image_id"] for rows in gallery.values() for row in rows] == ["1", "2", "10"]
    assert len(datasets.load_dataset(str(folder), "foils", cache_dir=str(tmp_path / "hf"))) == 2


def test_a_folder_in_use_is_not_overwritten_by_chance(benchmark, tmp_path):
    folder = write_benchmark(benchmark, tmp_path / "set")
    with pytest.raises(DataError, match="not empty"):
        write_benchmark(benchmark, folder)
    write_benchmark(benchmark, folder, "again", overwrite=True)
    assert "again" in (folder / "README.md").read_text()
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match=r"thesis\.tex"):
        write_benchmark(benchmark, folder, overwrite=True)
    assert (folder / "thesis.tex").read_text() == "mine"


def test_a_failed_write_leaves_nothing(benchmark, tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("parabench.data.release.pq.write_table", full)
    with pytest.raises(Exception, match="no space left"):
        write_benchmark(benchmark, tmp_path / "out" / "set")
    assert list((tmp_path / "out").iterdir()) == []


def test_damaged_folders_are_refused_with_file_and_row(benchmark, tmp_path):
    folder = write_benchmark(benchmark, tmp_path / "set")
    path = folder / "pairs" / "test.parquet"
    rows = pq.read_table(path)
    pq.write_table(rows.set_column(1, "image_id", [["2", "99"]]), path)
    with pytest.raises(DataError, match=r"test\.parquet, row 2: image_id '99'"):
        load(folder)
    pq.write_table(rows.drop_columns(["paraphrase"]), path)
    pq.write_table(
        pq.read_table(folder / "pairs" / "train.parquet").drop_columns(["paraphrase"]),
        folder / "pairs" / "train.parquet",
    )
    with pytest.raises(DataError, match="no column 'paraphrase'"):
        load(folder)
    path.unlink()
    with pytest.raises(DataError, match="not there"):
        load(folder)


def test_a_folder_without_a_card_is_read_by_its_folder_names(benchmark, tmp_path):
    folder = write_benchmark(benchmark, tmp_path / "set")
    (folder / "README.md").unlink()
    assert sorted(load(folder).pairs["pair_id"].to_pylist()) == sorted(benchmark.pairs["pair_id"].to_pylist())


def test_a_folder_that_is_no_benchmark_says_what_to_type(tmp_path):
    (tmp_path / "pairs.csv").write_text("image_id,caption,paraphrase\n1,a,b\n")
    with pytest.raises(DataError, match=r"pairs\.csv"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("header", "message"), [("date: 2026-02-31", "malformed"), ("a: [", "malformed"), ("- [" * 2000, "malformed")]
)
def test_a_card_whose_head_is_no_yaml_is_named(benchmark, tmp_path, header, message):
    folder = write_benchmark(benchmark, tmp_path / "set")
    (folder / "README.md").write_text(f"---\n{header}\n---\n")
    with pytest.raises(DataError, match=message):
        load(folder)


def test_a_card_with_odd_names_still_finds_the_tables(benchmark, tmp_path):
    folder = write_benchmark(benchmark, tmp_path / "set")
    (folder / "README.md").write_text("---\nconfigs:\n- config_name: [pairs]\n- config_name: {a: 1}\n- config_name: 2026-01-01\n---\n")
    assert load(folder).pairs.num_rows == benchmark.pairs.num_rows


@pytest.mark.parametrize("pattern", ["../*.parquet", "/etc/*.parquet"])
def test_a_card_can_not_point_outside_its_folder(benchmark, tmp_path, pattern):
    folder = write_benchmark(benchmark, tmp_path / "set")
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: pairs\n  data_files: {pattern}\n---\n")
    with pytest.raises(DataError, match="outside"):
        load(folder)
