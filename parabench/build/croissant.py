"""Croissant metadata (MLCommons, version 1.0) with the Responsible-AI fields, for a finished dataset folder.

Croissant: Akhtar et al., *Croissant: A Metadata Format for ML-Ready Datasets*, 2024; RAI extension: Jain et al., 2024.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from parabench.data.schema import TABLES
from parabench.storage import sha256_file

CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "equivalentProperty": "cr:equivalentProperty", "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField",
    "path": "cr:path", "rai": "http://mlcommons.org/croissant/RAI/", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace",
    "samplingRate": "cr:samplingRate", "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform",
}  # fmt: skip

ABOUT: Mapping[str, str] = {
    "pair_id": "Unique name of the sentence.",
    "image_id": "The picture that the caption describes, as in the gallery.",
    "caption_id": "The caption that was rewritten.",
    "caption": "The caption, exactly as its source has it.",
    "paraphrase": "A sentence that is to mean the same as the caption.",
    "foil": "The caption with a small change that makes it false of the picture.",
    "kind": "Kind of rewriting, such as lexical or syntactic.",
    "source": "The way the sentence came: a language model, people, rules, an import.",
    "generator": "Who wrote the sentence.",
    "prompt_sha256": "SHA-256 of the prompt file, where there was one.",
    "created": "Date of writing, ISO 8601.",
    "scores": "What the checks and reviews measured, as name and value.",
    "split": "Split of the row.",
    "reason": "Why the row was dropped.",
    "file_name": "File of the picture in its source; the pictures are not part of this dataset.",
    "url": "Where the source serves the picture.",
    "width": "Width of the picture in pixels.",
    "height": "Height of the picture in pixels.",
    "license": "Licence of the picture as its source states it.",
    "labels": "Object categories of the picture, where known.",
    "captions": "All captions of the picture in the source.",
}
"""Column → what it holds; also printed on the card."""

_TYPES = {pa.string(): "sc:Text", pa.int32(): "sc:Integer", pa.float64(): "sc:Float"}


def write_croissant(
    folder: Path, *, name: str, description: str, license_url: str, version: str, published: str, citation: str,
    rai: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write ``croissant.json`` for the tables that lie in ``folder``.

    Args:
        folder: with ``pairs/*.parquet`` and so on.
        name, description, license_url, version, citation: of the dataset; ``version`` as ``1.0.0``.
        published: ISO date.
        rai: fields of the Responsible-AI extension without their prefix, such as ``dataBiases``.
    """
    files = [(table, path) for table in TABLES for path in sorted((folder / table).glob("*.parquet"))]
    metadata = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": description,
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "license": license_url,
        "version": version,
        "datePublished": published,
        "citeAs": citation,
        "inLanguage": "en",
        "keywords": ["paraphrase", "text-to-image retrieval", "robustness", "benchmark"],
        "creator": {"@type": "sc:Organization", "name": "The parabench authors"},
        "url": "https://arxiv.org/abs/2405.03190",
        **{f"rai:{field}": value for field, value in rai.items()},
        "distribution": [_file(folder, path) for _, path in files],
        "recordSet": [_records(folder, table, path) for table, path in files],
    }
    text = json.dumps(metadata, indent=2, ensure_ascii=False) + "\n"
    (folder / "croissant.json").write_text(text, encoding="utf-8")


def _file(folder: Path, path: Path) -> dict[str, Any]:
    relative = path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": relative,
        "name": path.name,
        "contentUrl": relative,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": sha256_file(path),
    }


def _records(folder: Path, table: str, path: Path) -> dict[str, Any]:
    identity = f"{table}_{path.stem}"
    rows = pq.read_metadata(path).num_rows
    return {
        "@type": "cr:RecordSet",
        "@id": identity,
        "name": identity,
        "description": f"Configuration '{table}', split '{path.stem}', {rows:,} rows.",
        "field": [_field(identity, path.relative_to(folder).as_posix(), field) for field in TABLES[table]],
    }


def _field(record_set: str, file: str, field: pa.Field) -> dict[str, Any]:
    identity = f"{record_set}/{field.name}"
    source = {"fileObject": {"@id": file}, "extract": {"column": field.name}}
    described = {"@type": "cr:Field", "@id": identity, "name": field.name, "description": ABOUT[field.name]}
    if not pa.types.is_list(field.type):
        return {**described, "dataType": _TYPES[field.type], "source": source}
    if pa.types.is_struct(field.type.value_type):
        inner = [
            {
                "@type": "cr:Field", "@id": f"{identity}/{part.name}", "name": part.name,
                "description": f"The {part.name} of one of the {field.name}.", "dataType": _TYPES[part.type],
                "source": {**source, "transform": {"jsonPath": part.name}},
            }
            for part in field.type.value_type
        ]  # fmt: skip
        return {**described, "repeated": True, "source": source, "subField": inner}
    return {**described, "repeated": True, "dataType": _TYPES[field.type.value_type], "source": source}
