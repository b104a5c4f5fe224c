"""The benchmark on disk: a folder of parquet and a card, which ``datasets.load_dataset`` reads as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from parabench.data.benchmark import Benchmark
from parabench.data.schema import FOILS, GALLERY, PAIRS, TABLES, image_order
from parabench.errors import DataError
from parabench.storage import atomic_path, write_text


def write_release(benchmark: Benchmark, folder: Path, about: str = "") -> None:
    """Write the four tables and a README card whose YAML names them as configurations, ``pairs`` first."""
    split = "test"
    for name in TABLES:
        table: pa.Table = getattr(benchmark, name)
        with atomic_path(folder / name / f"{split}.parquet") as part:
            pq.write_table(table, part, compression="zstd")
    configs = "\n".join(
        f"- config_name: {name}\n{'  default: true' + chr(10) if name == 'pairs' else ''}  data_files:\n"
        f"  - split: {split}\n    path: {name}/{split}.parquet"
        for name in TABLES
    )
    card = (
        f"---\npretty_name: {benchmark.name}\nlanguage:\n- en\ntask_categories:\n- text-to-image\n"
        f"tags:\n- paraphrase\n- image-retrieval\nconfigs:\n{configs}\n---\n\n# {benchmark.name}\n\n"
        f"{about or 'Captions, paraphrases and foils for paraphrased text-to-image retrieval.'}\n\n"
        f"{benchmark.pairs.num_rows:,} pairs, {benchmark.gallery.num_rows:,} pictures, {benchmark.foils.num_rows:,} foils.\n"
    )
    write_text(folder / "README.md", card)


def read_release(folder: Path) -> Benchmark:
    """Read a benchmark folder.

    Raises:
        DataError: no ``pairs`` table, a column is missing or of another type, or an id is unknown or repeated.
    """
    tables = {}
    for name, schema in TABLES.items():
        files = sorted([*folder.glob(f"{name}/**/*.parquet"), *folder.glob(f"{name}.parquet"), *folder.glob(f"data/{name}*.parquet")])
        if files:
            tables[name] = _conform(files, schema)
        elif name in ("pairs", "gallery"):
            raise DataError(f"{folder} is not a benchmark: it has no {name}/*.parquet", "a folder written by parabench, or a CSV of pairs, is needed")
    benchmark = Benchmark(
        name=folder.resolve().name, **tables, image_roots=tuple(p for p in (folder / "images", folder) if p.is_dir()),
        provenance=f"{folder} (benchmark folder, {tables['pairs'].num_rows:,} pairs, {tables['gallery'].num_rows:,} pictures)",
    )  # fmt: skip
    ids = benchmark.image_ids
    order = image_order(ids)
    if order != list(range(len(ids))):
        benchmark = replace(benchmark, gallery=benchmark.gallery.take(order))
    _check_ids(benchmark, folder)
    return benchmark


def read_hub(repository: str) -> Benchmark:
    """Download a dataset repository from the Hub and read it.

    Raises:
        DataError: it can't be had, or is not a benchmark.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(repository, repo_type="dataset")
    except Exception as error:  # the hub client raises a dozen kinds of its own
        raise DataError(
            f"dataset '{repository}' could not be had from the Hub: {' '.join(str(error).split())[:200]}",
            "check the name (owner/name) and the network; `parabench datasets` lists the built-in sets",
        ) from None
    benchmark = read_release(Path(folder))
    return replace(benchmark, name=repository.rpartition("/")[2], provenance=f"{repository} (Hub, {benchmark.provenance})")


def _conform(files: list[Path], schema: pa.Schema) -> pa.Table:
    try:
        parts = []
        for file in files:
            table = pq.read_table(file)
            missing = [f.name for f in schema if f.name not in table.column_names and not f.nullable]
            if missing:
                raise DataError(f"{file}: there is no column '{missing[0]}'")
            columns = [
                table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(table.num_rows, f.type) for f in schema
            ]
            parts.append(pa.Table.from_arrays(columns, schema=schema))
        whole = pa.concat_tables(parts)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{files[0]} does not fit the benchmark format: {error}") from None
    for column in schema:
        if not column.nullable and whole[column.name].null_count:
            raise DataError(f"{files[0]}: {column.name} is empty in {whole[column.name].null_count} rows", "fill it in")
    return whole


def _check_ids(benchmark: Benchmark, folder: Path) -> None:
    for table, column, what in ((benchmark.gallery, "image_id", "gallery"), (benchmark.pairs, "pair_id", "pairs")):
        values = table[column].to_pylist()
        if len(set(values)) != len(values):
            seen: set[str] = set()
            twice = next(value for value in values if value in seen or seen.add(value))  # type: ignore[func-returns-value]
            raise DataError(f"{folder}, {what}: {column} '{twice}' stands twice", "remove one of the rows")
    for schema, table in ((PAIRS, benchmark.pairs), (FOILS, benchmark.foils)):
        for image_id in table["image_id"].to_pylist():
            if image_id not in benchmark.position:
                raise DataError(f"{folder}: image_id '{image_id}' is not in the gallery", "add it to the gallery table")
        text = "paraphrase" if schema is PAIRS else "foil"
        for column in ("caption", text):
            if any(not value.strip() for value in table[column].to_pylist()):
                raise DataError(f"{folder}: an empty {column}", "fill it in or remove the row")
    assert benchmark.gallery.schema.names == GALLERY.names
