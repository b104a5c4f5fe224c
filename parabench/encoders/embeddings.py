"""``embeddings:DIR``: vectors that were computed elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from parabench.columns import read_parquet
from parabench.encoders.protocol import FloatMatrix
from parabench.encoders.spec import ModelSpec
from parabench.errors import DataError, ModelError, UsageError
from parabench.storage import sha256_file, sha256_json

_SIDES = {"image": ("image_ids", "image_embeddings", "image_id"), "text": ("texts", "text_embeddings", "text")}


class StoredEmbeddings:
    """A folder with ``image_ids.txt`` + ``image_embeddings.npy`` and ``texts.txt`` + ``text_embeddings.npy``.

    One line a row; ``.json`` lists serve texts with line breaks; ``image_embeddings.parquet`` and
    ``text_embeddings.parquet`` (columns ``image_id`` | ``text`` and ``embedding``) work too.  Image ids are
    matched as text.  Without image files the encoder is text-only and searches a caption gallery.
    """

    cacheable = False
    batch_size = 4096

    def __init__(self, spec: ModelSpec, *, device: str, precision: str, trust_remote_code: bool) -> None:
        spec.allow(())
        folder = Path(spec.name if spec.revision is None else f"{spec.name}@{spec.revision}").expanduser()
        if not spec.name or not folder.is_dir():
            raise UsageError(f"'{spec}': no such folder: {folder}", "give the folder that holds the vectors")
        self.spec = str(spec)
        self._folder = folder
        self._hashes: dict[str, str] = {}
        text = self._side("text")
        if text is None:
            raise DataError(f"{folder} has no texts.txt with text_embeddings.npy, and no text_embeddings.parquet")
        image = self._side("image")
        self.sees = "captions" if image is None else "ids"
        (self._text_row, self._text), self._image = text, image
        self.dim = int(self._text.shape[1])
        if image is not None and image[1].shape[1] != self.dim:
            raise DataError(
                f"{folder}: text embeddings have {self.dim} dimensions and image embeddings {image[1].shape[1]}",
                "both must come from one model",
            )
        self.resolved: dict[str, Any] = {"backend": "embeddings", "version": 1, "files": self._hashes}
        self.fingerprint = sha256_json(self.resolved)

    def encode_text(self, texts: Sequence[str]) -> FloatMatrix:
        """Stored vectors of texts ``(n, dim)`` float32; :class:`ModelError` for texts that are not there."""
        return self._look_up("text", self._text_row, self._text, list(texts))

    def encode_images(self, images: Sequence[Any]) -> FloatMatrix:
        """Stored vectors of image ids ``(n, dim)`` float32; :class:`ModelError` for ids that are not there."""
        if self._image is None:
            raise ModelError(f"{self.spec} has no image embeddings; it searches captions")
        return self._look_up("image", *self._image, [str(image) for image in images])

    def stored_images(self, leaving_out: Sequence[str] = ()) -> Any:
        """All stored image vectors ``(n, dim)`` in the order of the file, but those of ids to leave out."""
        if self._image is None:
            raise ModelError(f"{self.spec} has no image embeddings")
        row_of, vectors = self._image
        taken = set(leaving_out)
        rows = [row for key, row in row_of.items() if key not in taken]
        return vectors if len(rows) == len(vectors) else vectors[rows]

    def _look_up(self, side: str, row_of: dict[str, int], vectors: Any, keys: list[str]) -> FloatMatrix:
        absent = [key for key in dict.fromkeys(keys) if key not in row_of]
        if absent:
            shown = ", ".join(f"{key!r:.80}" for key in absent[:3])
            raise ModelError(
                f"{self.spec} has no vector for {len(absent)} of {len(set(keys))} {side}s: {shown}{', …' if len(absent) > 3 else ''}",
                f"add them to {_SIDES[side][0]}.txt and {_SIDES[side][1]}.npy (texts must match exactly)",
            )
        found: FloatMatrix = np.asarray(vectors[[row_of[key] for key in keys]], np.float32)
        return found

    def _side(self, side: str) -> tuple[dict[str, int], Any] | None:
        names, vectors, column = _SIDES[side]
        parquet, array = self._folder / f"{vectors}.parquet", self._folder / f"{vectors}.npy"
        lists = [self._folder / f"{names}{suffix}" for suffix in (".txt", ".json") if (self._folder / f"{names}{suffix}").exists()]
        if parquet.exists():
            keys, matrix = _read_parquet(parquet, column)
            self._hashes[parquet.name] = sha256_file(parquet)
        elif array.exists() and lists:
            keys, matrix = _read_keys(lists[0]), _read_array(array)
            self._hashes |= {path.name: sha256_file(path) for path in (lists[0], array)}
        elif array.exists() or lists:
            lacking = f"{names}.txt" if array.exists() else array.name
            raise DataError(f"{self._folder} has {(lists or [array])[0].name} but no {lacking}", f"add {lacking}, one line a row")
        else:
            return None
        if len(keys) != len(matrix):
            raise DataError(
                f"{self._folder}: {names} names {len(keys)} rows and {vectors} has {len(matrix)}", "one line a row, in the same order"
            )
        _check_vectors(matrix, keys, self._folder / vectors)
        row_of: dict[str, int] = {}
        for row, key in enumerate(keys):
            first = row_of.setdefault(key, row)
            if first != row and not np.array_equal(matrix[first], matrix[row]):
                raise DataError(f"{self._folder}: {key!r:.80} stands twice ({names} lines {first + 1} and {row + 1}) "
                                "with different vectors", "keep one of them")  # fmt: skip
        return row_of, matrix


def _read_keys(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            values = json.loads(text)
            if not isinstance(values, list):
                raise DataError(f"{path} is not a JSON list")
            return [str(value) for value in values]
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}", "it has to be a file of one line a row") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (offset {error.start})", "write it again as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    return text.removesuffix("\n").split("\n") if text else []


def _read_array(path: Path) -> Any:
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is not a plain .npy array: {error}", "save it with numpy.save, without objects") from None
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.shape[1] == 0 or matrix.dtype.kind != "f":
        raise DataError(f"{path} holds {getattr(matrix, 'dtype', type(matrix))} of shape {getattr(matrix, 'shape', '?')}",
                        "a float array of shape (rows, dimensions) is needed")  # fmt: skip
    return matrix


def _read_parquet(path: Path, column: str) -> tuple[list[str], Any]:
    import pyarrow as pa

    try:
        table = read_parquet(path, columns=[column, "embedding"])
        matrix = np.array(table["embedding"].to_pylist(), np.float32)
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        raise DataError(f"{path}: {error}", f"it needs the columns {column} and embedding (lists of equal length)") from None
    if matrix.ndim != 2:
        raise DataError(f"{path}: the embeddings are not lists of equal length")
    return [str(key) for key in table[column].to_pylist()], matrix


def _check_vectors(matrix: Any, keys: list[str], path: Path) -> None:
    for start in range(0, len(matrix), 8192):
        with np.errstate(over="ignore"):
            part = np.asarray(matrix[start : start + 8192], np.float32)
        for wrong, what in ((~np.isfinite(part).all(axis=1), "NaN, infinity or more than a float32 holds"), (~part.any(axis=1), "only zeros")):
            if wrong.any():
                row = start + int(np.argmax(wrong))
                raise DataError(f"{path}, row {row + 1} ({keys[row]!r:.80}) holds {what}", "compute that vector again")
