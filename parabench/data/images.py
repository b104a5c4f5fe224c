"""The pictures of a gallery: where they lie, what they hash to, and how they are decoded safely."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, TYPE_CHECKING, Protocol

from parabench.data.benchmark import Benchmark
from parabench.errors import DataError
from parabench.storage import sha256_file

if TYPE_CHECKING:
    from PIL.Image import Image

THINNEST = 500
MAX_PIXELS = 100_000_000
_HASHES: dict[tuple[str, int, int], str] = {}
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class Pictures(Protocol):
    """Anything that opens pictures by id and says what they hash to."""

    def sha256(self, image_id: str) -> str:
        """Hash of everything that changes what :meth:`open` returns."""
        ...

    def open(self, image_id: str) -> Image:
        """The picture in mode RGB; :class:`DataError` names one that can't be had."""
        ...


class ImageStore:
    """Opens the pictures of a benchmark.

    Args:
        benchmark: its gallery names the files; a picture without ``file_name`` is looked up by its id with
            a usual extension.
        extra_roots: folders to search before the benchmark's own.
    """

    def __init__(self, benchmark: Benchmark, extra_roots: tuple[Path, ...] = ()) -> None:
        for root in extra_roots:
            if not root.is_dir():
                raise DataError(f"no such folder of pictures: {root}", "check --images")
        self._roots = (*extra_roots, *benchmark.image_roots)
        self._benchmark = benchmark
        self._found: dict[str, Path] = {}

    @cached_property
    def _file_names(self) -> dict[str, str | None]:
        gallery = self._benchmark.gallery
        return dict(zip(self._benchmark.image_ids, gallery["file_name"].to_pylist(), strict=True))

    def path(self, image_id: str) -> Path:
        """The file of a picture.

        Raises:
            DataError: it is not in the gallery, not found, or its name points outside the folders.
        """
        if (known := self._found.get(image_id)) is not None:
            return known
        path = self._look_up(image_id)
        if path is None:
            searched = ", ".join(str(root) for root in self._roots) or "no folder was given"
            raise DataError(f"the picture of image '{image_id}' was not found (searched: {searched})",
                            "name its folder with --images DIR")  # fmt: skip
        self._found[image_id] = path
        return path

    def missing(self) -> list[str]:
        """Ids of pictures that are not found, in gallery order."""
        absent = []
        for image_id in self._benchmark.image_ids:
            path = self._look_up(image_id)
            if path is None:
                absent.append(image_id)
            else:
                self._found[image_id] = path
        return absent

    def sha256(self, image_id: str) -> str:
        """SHA-256 of the file's bytes, remembered while the file's size and time stay the same.

        Raises:
            DataError: the file is not found or can't be read.
        """
        path = self.path(image_id)
        try:
            state = path.stat()
            key = (str(path), state.st_size, state.st_mtime_ns)
            if key not in _HASHES:
                _HASHES[key] = sha256_file(path)
        except OSError as error:
            raise DataError(
                f"can't read the picture of image '{image_id}' ({path}): {error.strerror}",
                "replace the file, or leave the picture out of the gallery",
            ) from error
        return _HASHES[key]

    def open(self, image_id: str) -> Image:
        """The picture in mode RGB, exactly as ``Image.open(path).convert("RGB")`` gives it.

        So the EXIF orientation is not applied, an animation gives its first frame and transparency is
        dropped, as in the loaders with which these models are evaluated.  Only grey pictures of more than
        8 bits differ: they are scaled.

        Raises:
            DataError: the file can't be decoded, would unpack to more than 100 megapixels, or is thinner than 1:500.
        """
        return decode(self.path(image_id), image_id)

    def _look_up(self, image_id: str) -> Path | None:
        file_name = self._file_names.get(image_id)
        if image_id not in self._file_names:
            raise DataError(f"image '{image_id}' is not in the gallery of '{self._benchmark.name}'")
        names = [file_name] if file_name else [image_id, *(f"{image_id}{suffix}" for suffix in SUFFIXES)]
        for name in names:
            if _points_outside(name):
                raise DataError(
                    f"image '{image_id}': the file name '{name}' points outside the picture folders",
                    "use names relative to --images, without '..'",
                )
            last = PurePosixPath(name).name
            # Elsewhere than where it is said to be, a picture is known by its name only if no other has it.
            candidates = [name, last] if self._name_counts[last] <= 1 else [name]
            for root in self._roots:
                for candidate in candidates:
                    try:
                        if (root / candidate).is_file():
                            return root / candidate
                    except (OSError, ValueError):  # a name no file system takes
                        continue
        return None

    @cached_property
    def _name_counts(self) -> Counter[str]:
        return Counter(PurePosixPath(name).name for name in self._file_names.values() if name)


def _points_outside(name: str) -> bool:
    windows = PureWindowsPath(name)
    return PurePosixPath(name).is_absolute() or bool(windows.drive or windows.root) or ".." in windows.parts


def decode(source: Path | IO[bytes], image_id: str, where: str | None = None) -> Image:
    """Decode one file, or its bytes found at ``where``, to RGB; refuses bombs.

    :class:`DataError` names the picture, the place and the reason.
    """
    from PIL import Image, UnidentifiedImageError

    where = str(source) if where is None else where
    remedy = "replace the file, or leave the picture out of the gallery"
    try:
        with Image.open(source) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DataError(
                    f"image '{image_id}' ({where}) unpacks to {width}×{height} pixels, more than the "
                    f"{MAX_PIXELS // 1_000_000} megapixels that are read",
                    "shrink it or leave it out of the gallery",
                )
            if max(width, height) > THINNEST * min(width, height):
                raise DataError(
                    f"image '{image_id}' ({where}) is {width}×{height} pixels, thinner than 1:{THINNEST}: scaled so that its short side "
                    "fits a network, it would fill the memory",
                    "cut it or leave it out of the gallery",
                )
            if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
                return _eight_bit(image)
            return image.convert("RGB")
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"image '{image_id}' ({where}) is a decompression bomb: {error}", remedy) from None
    except UnidentifiedImageError:
        empty = isinstance(source, Path) and source.stat().st_size == 0
        what = "is empty, not a picture that can be read" if empty else "is not a picture that can be read"
        raise DataError(f"image '{image_id}' ({where}) {what}", remedy) from None
    except Exception as error:
        # Decoders raise nearly anything on damaged data: OSError, SyntaxError, struct.error, IndexError, …
        raise DataError(f"image '{image_id}' ({where}) is damaged: {error}", remedy) from None


def _eight_bit(image: Image) -> Image:
    """Grey pictures of more than 8 bits: scaled by their range, where a plain convert would clip to white."""
    import numpy as np
    from PIL import Image as factory

    values = np.asarray(image, dtype=np.float64)
    top = 65535.0 if image.mode.startswith("I;16") or values.max(initial=0) > 255 else 255.0
    return factory.fromarray(np.clip(values / top * 255, 0, 255).astype(np.uint8), "L").convert("RGB")
